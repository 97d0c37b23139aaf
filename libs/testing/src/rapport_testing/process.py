"""Real services as child processes: started until ready, killed, suspended and restarted at any point."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rapport_testing.child import ChildProcess, OwnsChild, ProcessError
from rapport_testing.failpoints import failpoint_variables
from rapport_testing.files import end_of_file
from rapport_testing.forks import fork_server_for
from rapport_testing.waiting import becomes_true

_START_TIMEOUT_S = 30.0


class ServiceProcess(OwnsChild):
    """One service as a real process, in a group of its own, that dies with the test.

    Args:
        argv: The command line; the program is looked up in PATH if it is not a path.
        env: Variables added to those of this process.
        log_path: Its output; appended to over restarts.
        ready: Says whether it is ready; asked again and again, and an OSError counts as no.
        ready_line: A text that its output holds once it is ready; the alternative to `ready`.
        start_timeout_s: How long it may take to turn ready.
        cwd: The folder it works in.
        imports: Modules that a program in Python imports in any case: it is forked from a process that has done so,
            which spares it most of the work of a start. Without, it is started by its command line.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        log_path: Path,
        ready: Callable[[], bool] | None = None,
        *,
        ready_line: str | None = None,
        start_timeout_s: float = _START_TIMEOUT_S,
        cwd: Path | None = None,
        imports: Sequence[str] = (),
    ) -> None:
        self._argv = list(argv)
        self._env = dict(env)
        self.log_path = log_path
        self._ready = ready
        self._ready_line = ready_line
        self._start_timeout_s = start_timeout_s
        self._cwd = cwd
        self._imports = tuple(imports)
        self._log_begins = 0
        self._armed: dict[str, str] = {}

    def __enter__(self) -> ServiceProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def arm(self, *failpoints: str) -> None:
        """Arm these failpoints, and no others, from the next start on: `arm("relay.published=kill@3")`.

        Raises:
            ValueError: One is malformed.
        """
        self._armed = failpoint_variables(*failpoints)

    def start(self, *, wait: bool = True) -> None:
        """Start the service and wait until it is ready; without `wait` return at once.

        Raises:
            ProcessError: It ended or did not turn ready in time; the text ends with its log.
        """
        if self.is_running:
            raise ProcessError(f"{self._argv[0]} is already running")
        self._log_begins = self.log_path.stat().st_size if self.log_path.exists() else 0
        env = {**os.environ, **self._env, **self._armed}
        server = fork_server_for(self._imports, env, self.log_path) if self._imports else None
        self._child = ChildProcess(self._argv, env=env, log_path=self.log_path, cwd=self._cwd, fork_server=server)
        self._child.start()
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the service is ready.

        Raises:
            ProcessError: It ended or did not turn ready in time; the text ends with its log.
        """
        becomes_true(lambda: self._is_ready() or not self.is_running, self._start_timeout_s)
        if not self.is_running or not self._is_ready():
            state = "is not ready" if self.is_running else f"ended with {self.returncode}"
            self.kill()
            raise ProcessError(f"{' '.join(self._argv)} {state}; its log ends:\n{end_of_file(self.log_path)}")

    @property
    def returncode(self) -> int | None:
        """The exit code once ended, negative if a signal ended it, else None."""
        return self._child.returncode if self._child is not None else None

    def terminate(self, timeout_s: float = 30.0) -> int:
        """Ask the service to drain and end (SIGTERM), and return its exit code; kill it after `timeout_s` seconds."""
        return self._started().terminate(timeout_s)

    def suspend(self) -> None:
        """Stop the service in mid-step (SIGSTOP)."""
        self._started().suspend()

    def resume(self) -> None:
        """Let a suspended service go on (SIGCONT)."""
        self._started().resume()

    def wait(self, timeout_s: float = 30.0) -> int:
        """Wait until the service has ended by itself, as at a failpoint, and return its exit code (kill: -9).

        Raises:
            ProcessError: It still runs after `timeout_s` seconds.
        """
        return self._started().wait(timeout_s)

    def wait_killed(self, timeout_s: float = 30.0) -> None:
        """Wait until a failpoint has killed the service.

        Raises:
            ProcessError: It still runs after `timeout_s` seconds, or ended otherwise.
        """
        code = self.wait(timeout_s)
        if code != -signal.SIGKILL:
            raise ProcessError(f"not killed, but ended with {code}; its log ends:\n{end_of_file(self.log_path)}")

    def restart(self) -> None:
        """Start the service again, after a SIGTERM if it still runs, and wait until it is ready."""
        if self.is_running:
            self.terminate()
        self.start()

    def logs(self) -> str:
        """Return its whole output, over all starts."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def _is_ready(self) -> bool:
        if self._ready_line is not None and not self._has_said(self._ready_line):
            return False
        try:
            return self._ready is None or self._ready()
        except OSError:
            return False

    def _has_said(self, text: str) -> bool:
        """Whether the output since the last start holds the text."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_begins)
            return text.encode() in log.read()

    def _started(self) -> ChildProcess:
        if self._child is None:
            raise ProcessError(f"{self._argv[0]} was not started")
        return self._child


class Killable(Protocol):
    """What the killer needs: services have it, and the PostgreSQL and NATS servers."""

    def kill(self) -> None:
        """Kill it at once and wait until it is gone."""

    def start(self) -> None:
        """Start it and wait until it is ready."""


class RandomKiller:
    """Kills one of the processes at random times, and starts it again, until stopped; the same seed, the same choices.

    Used as a context manager around the work that must survive it. A process that does not come back ends the killing
    and is reported by `stop`.

    Args:
        processes: What may be killed: services, or the PostgreSQL and NATS servers.
        seed: Of the choice of victims and times.
        between: The shortest and the longest time in seconds from a restart to the next kill.
    """

    def __init__(self, processes: Iterable[Killable], seed: int, between: tuple[float, float] = (0.2, 1.0)) -> None:
        self._processes = list(processes)
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._between = between
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="random killer", daemon=True)
        self.kills = 0

    @property
    def is_killing(self) -> bool:
        """Whether it goes on: not once stopped, nor after a victim has not come back."""
        return self._thread.is_alive()

    def __enter__(self) -> RandomKiller:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop killing; all processes run when it returns.

        Raises:
            ProcessError: A killed process did not start again.
        """
        self._stopping.set()
        self._thread.join()
        if self._failure is not None:
            raise ProcessError("a killed process did not start again") from self._failure

    def _run(self) -> None:
        while not self._stopping.wait(self._random.uniform(*self._between)):
            victim = self._random.choice(self._processes)
            try:
                victim.kill()
                victim.start()
            except ProcessError as error:
                self._failure = error
                return
            self.kills += 1
