"""Fixtures: environments in folders of their own, and the command as a real process."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from local_desk import Desk
from rapport_local import access, operators
from rapport_local.environment import Environment
from rapport_local.main import main


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker start what several tests share: it takes long to start."""
    for item in items:
        if "stoppable" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("stoppable"))


@pytest.fixture(scope="session")
def _stoppable() -> Iterator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="rapport-local-"))
    desk = Desk(folder / "stoppable", "consent")
    yield desk
    desk.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stoppable(_stoppable: Desk) -> Desk:
    """A running environment of one service: tests stop and kill it, and write what no other test writes."""
    _stoppable.up_again()
    return _stoppable


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An environment of the test's own with one service, which does not run yet."""
    made = Desk(tmp_path / "environment", "consent")
    yield made
    made.close()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment that was prepared as `rapport up` does, and does not run."""
    made = Environment.at(tmp_path / "environment")
    made.create()
    access.issue_certificates(made)
    access.write_policy(made)
    operators.make_issuer(made)
    return made


@pytest.fixture
def rapport(environment: Environment) -> Callable[..., Result]:
    """Runs a command on the prepared environment inside this process."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), env={"RAPPORT_FOLDER": str(environment.folder)})

    return run


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], list[str]]:
    """Makes the command line of a Python program from its text."""

    def make(text: str) -> list[str]:
        path = tmp_path / f"program{len(list(tmp_path.glob('program*')))}.py"
        path.write_text(text, encoding="utf-8")
        return [sys.executable, "-u", str(path)]

    return make
