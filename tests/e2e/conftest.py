"""One local environment, started as a person starts it, for the tests that walk through the documentation."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from rapport_testing.waiting import eventually_sync

COMMANDS = Path(sys.executable).parent

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the first page: it speaks to somebody whose environment is new."""
    items.sort(key=lambda item: item.name != "test_every_command_of_a_readme_works[README.md]")


@pytest.fixture(scope="session")
def environment_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rapport-e2e-"))
    log = folder.with_suffix(".log")
    with log.open("w") as output:
        up = subprocess.Popen(
            [str(COMMANDS / "rapport"), "up", "--folder", str(folder)], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            eventually_sync(lambda: "Everything is ready" in log.read_text() or up.poll() is not None, timeout_s=170)
            assert up.poll() is None, log.read_text()
            yield folder
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(60)
            shutil.rmtree(folder, ignore_errors=True)
            log.unlink()


@pytest.fixture
def run_beside() -> Run:
    """Runs a line as a person does who has no environment yet."""

    def run_line(
        line: str, variables: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> "subprocess.CompletedProcess[str]":
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
    ) -> "subprocess.CompletedProcess[str]":
        return run_beside(line, {"RAPPORT_FOLDER": str(environment_folder), **(variables or {})}, timeout_s)

    return run_line
