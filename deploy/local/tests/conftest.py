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

_DRAWN = 1
"""How many of the tests that share an environment a check draws: what runs takes a part of the machine all the time."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker start what several tests share: it takes long to start."""
    for item in items:
        if "stoppable" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("stoppable"))
            item.add_marker(pytest.mark.few(_DRAWN, of="stoppable"))


class Shared:
    """Environments that several tests use: started by the first, ended after the last that this process runs in a row.

    What runs costs a part of the machine also while nobody asks for anything.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="rapport-local-"))
        self._desks: dict[str, Desk] = {}

    def desk(self, name: str, *services: str) -> Desk:
        """Return the environment of a name, which may not run."""
        return self._desks.setdefault(name, Desk(self._folder / name, *services))

    def end(self, name: str) -> None:
        """End what runs in the environment of a name."""
        if name in self._desks:
            self._desks.pop(name).close()
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def close(self) -> None:
        """End everything."""
        for name in list(self._desks):
            self.end(name)
        shutil.rmtree(self._folder, ignore_errors=True)


_SHARED = pytest.StashKey[Shared]()
_NAMES = ("stoppable",)


@pytest.fixture(scope="session")
def _shared(pytestconfig: pytest.Config) -> Iterator[Shared]:
    shared = pytestconfig.stash[_SHARED] = Shared()
    yield shared
    shared.close()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End a shared environment once another worker, or nobody, has a use for it."""
    shared = item.config.stash.get(_SHARED, None)
    if shared is None or not hasattr(item.config, "workerinput"):
        return
    for name in _NAMES:
        if name in getattr(item, "fixturenames", ()) and name not in getattr(nextitem, "fixturenames", ()):
            shared.end(name)


@pytest.fixture
def stoppable(_shared: Shared) -> Desk:
    """A running environment of one service: tests stop and kill it, and write what no other test writes."""
    desk = _shared.desk("stoppable", "consent")
    desk.up_again()
    return desk


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
