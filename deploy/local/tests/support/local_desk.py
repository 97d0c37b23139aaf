"""One environment of the rapport command, as a test sees and handles it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result
from rapport_local.environment import Environment
from rapport_local.main import main
from rapport_local.status import EnvironmentStatus, live_status
from rapport_testing.child import ChildProcess
from rapport_testing.failpoints import failpoint_variables
from rapport_testing.forks import fork_server_for
from rapport_testing.waiting import eventually_sync

_READY_TIMEOUT_S = 110.0
_END_TIMEOUT_S = 60.0
_IMPORTED = (
    "rapport_local.commands.restore",
    "rapport_local.commands.up",
    "rapport_local.stack",
    "rapport_chassis.database.migrate",
)
"""What most of a start of the commands below goes into."""


class Desk:
    """One environment, and the command as a person runs it.

    Args:
        folder: Where it is.
        services: What runs in it; everything if none is named.
    """

    def __init__(self, folder: Path, *services: str) -> None:
        self.environment = Environment.at(folder)
        self.services = services
        self._up: ChildProcess | None = None
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
        self._up = self._command("up", *self.services)
        self._up.start()

    def killed(self, failpoint: str, *arguments: str) -> int:
        """Run a command, as a process that is killed at a failpoint, and return its exit code."""
        command = self._command(*arguments, variables=failpoint_variables(f"{failpoint}=kill"))
        command.start()
        return command.wait(_END_TIMEOUT_S)

    def begin_on_terminal(self) -> int:
        """Start everything on a terminal of its own, and return our end of it."""
        ours, theirs = os.openpty()
        become = "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
        argv = [sys.executable, "-c", become, str(theirs), sys.executable, "-m", "rapport_local", "up", *self.services]
        variables = {**self.variables, "COLUMNS": "80", "LINES": "40", "TERM": "xterm"}
        self._up = ChildProcess(argv, env=variables, log_path=self._log, pass_descriptors=[theirs])
        self._up.start()
        os.close(theirs)
        return ours

    def ended(self) -> int:
        """Wait for the end of `rapport up` and return its exit code."""
        assert self._up is not None
        return self._up.wait(_END_TIMEOUT_S)

    def up(self) -> EnvironmentStatus:
        """Start everything in a process of its own and wait until it is ready."""
        self.begin()
        status = eventually_sync(self._ready, _READY_TIMEOUT_S, message="rapport up is ready")
        assert status is not None
        return status

    def up_again(self) -> None:
        """Have everything run and be ready, whatever was done to it."""
        if self._up is None or not self._up.is_running:
            self.up()
        eventually_sync(self._ready, _READY_TIMEOUT_S, message="rapport up is ready again")

    def end(self, number: signal.Signals) -> int:
        """Send a signal to `rapport up`, wait for its end and return its exit code."""
        assert self._up is not None
        self._family = self.family()
        self._up.send(number)
        return self.ended()

    def family(self) -> list[psutil.Process]:
        """All that `rapport up` has started."""
        assert self._up is not None
        assert self._up.pid is not None
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
        if self._up is not None and self._up.is_running:
            self.end(signal.SIGTERM)
        self.run("down")
        shutil.rmtree(self.environment.folder, ignore_errors=True)

    def _ready(self) -> EnvironmentStatus | None:
        assert self._up is not None
        if not self._up.is_running:
            pytest.fail(f"rapport up has ended:\n{self._log.read_text()}")
        status = live_status(self.environment)
        return status if status is not None and status.all_ready else None

    @property
    def _log(self) -> Path:
        return self.environment.folder.with_suffix(".log")

    def _command(self, *arguments: str, variables: Mapping[str, str] | None = None) -> ChildProcess:
        """Return a command as a process, forked from one that has imported what it imports."""
        env = {**self.variables, **(variables or {})}
        argv = [sys.executable, "-m", "rapport_local", *arguments]
        return ChildProcess(argv, env=env, log_path=self._log, fork_server=fork_server_for(_IMPORTED, env, self._log))
