"""The environment as a person at a shell has it, for the tests that walk through the documentation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from suite import Suite

COMMANDS = Path(sys.executable).parent

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the first page: it speaks to somebody whose environment is new. End with what brings in thousands.

    Storms come before whatever else disturbs the suite, with which they are not compared.
    """

    def place(item: pytest.Item) -> int:
        if item.name == "test_every_command_of_a_readme_works[README.md]":
            return 0
        return {"test_storms.py": 1, "test_ingest.py": 3}.get(item.path.name, 2)

    items.sort(key=place)


@pytest.fixture(scope="session")
def environment_folder(_suite: Suite) -> Path:
    return _suite.environment.folder


@pytest.fixture
def running(suite: Suite) -> Suite:
    """The environment, as the tests of the command see it; they leave it as they found it."""
    return suite


@pytest.fixture
def run_beside() -> Run:
    """Runs a line as a person does who has no environment yet."""

    def run_line(
        line: str, variables: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        path = f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["/bin/sh", "-c", line],
            env={**os.environ, "PATH": path, **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    return run_line


@pytest.fixture
def run(run_beside: Run, environment_folder: Path) -> Run:
    """Runs a line in the running environment."""

    def run_line(
        line: str, variables: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        own = {"RAPPORT_FOLDER": str(environment_folder), "HOME": str(environment_folder.parent)}
        return run_beside(line, {**own, **(variables or {})}, timeout_s)

    return run_line
