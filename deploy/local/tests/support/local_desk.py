"""One environment of the rapport command, as a test sees and handles it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result
from rapport_local.environment import Environment
from rapport_local.main import main
from rapport_local.status import EnvironmentStatus, live_status
from rapport_testing.waiting import eventually_sync

_READY_TIMEOUT_S = 110.0


class Desk:
    """One environment, and the command as a person runs it.

    Args:
        folder: Where it is.
        services: What runs in it; everything if none is named.
    """

    def __init__(self, folder: Path, *services: str) -> None:
        self.environment = Environment.at(folder)
        self.services = services
        self._up: subprocess.Popen[bytes] | None = None
        self._family: list[psutil.Process] = []

    def run(self, *arguments: str, stdin: str = "") -> Result:
        """Run a command to its end, inside this process: what it talks to are real ones."""
        return CliRunner().invoke(main, list(arguments), input=stdin, env=self.variables, catch_exceptions=False)

    def run_apart(self, *arguments: str, timeout_s: float = 100) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as a process."""
        return subprocess.run(
            [sys.executable, "-m", "rapport_local", *arguments],
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    @property
    def variables(self) -> dict[str, str]:
        beside = str(Path(sys.executable).parent)
        return {**os.environ, "RAPPORT_FOLDER": str(self.environment.folder), "PATH": f"{beside}:{os.environ['PATH']}"}

    def begin(self) -> None:
        """Start everything in a process of its own."""
        command = [sys.executable, "-m", "rapport_local", "up", *self.services]
        with self.environment.folder.with_suffix(".up").open("wb") as output:
            self._up = subprocess.Popen(command, env=self.variables, stdout=output, stderr=subprocess.STDOUT)

    def begin_on_terminal(self) -> int:
        """Start everything on a terminal of its own, and return our end of it."""
        ours, theirs = os.openpty()
        become = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
        variables = {**self.variables, "COLUMNS": "80", "LINES": "40", "TERM": "xterm"}
        command = [sys.executable, "-c", become, sys.executable, "-m", "rapport_local", "up", *self.services]
        self._up = subprocess.Popen(command, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        return ours

    def ended(self) -> int:
        """Wait for the end of `rapport up` and return its exit code."""
        assert self._up is not None
        return self._up.wait(60)

    def up(self) -> EnvironmentStatus:
        """Start everything in a process of its own and wait until it is ready."""
        self.begin()
        status = eventually_sync(self._ready, _READY_TIMEOUT_S, message="rapport up is ready")
        assert status is not None
        return status

    def up_again(self) -> None:
        """Have everything run and be ready, whatever was done to it."""
        if self._up is None or self._up.poll() is not None:
            self.up()
        eventually_sync(self._ready, _READY_TIMEOUT_S, message="rapport up is ready again")

    def end(self, number: signal.Signals) -> int:
        """Send a signal to `rapport up`, wait for its end and return its exit code."""
        assert self._up is not None
        self._family = self.family()
        self._up.send_signal(number)
        return self.ended()

    def family(self) -> list[psutil.Process]:
        """All that `rapport up` has started."""
        assert self._up is not None
        return psutil.Process(self._up.pid).children(recursive=True)

    def left(self) -> list[psutil.Process]:
        """What `up` had started and still lives."""
        return [each for each in self._family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]

    def status(self) -> EnvironmentStatus:
        """What the running environment says now."""
        status = live_status(self.environment)
        assert status is not None
        return status

    def close(self) -> None:
        """Stop whatever runs and remove the folder."""
        if self._up is not None and self._up.poll() is None:
            self.end(signal.SIGTERM)
        self.run("down")
        shutil.rmtree(self.environment.folder, ignore_errors=True)

    def _ready(self) -> EnvironmentStatus | None:
        assert self._up is not None
        if self._up.poll() is not None:
            pytest.fail(f"rapport up has ended:\n{self.environment.folder.with_suffix('.up').read_text()}")
        status = live_status(self.environment)
        return status if status is not None and status.all_ready else None
