"""A program run as a child process in a group of its own: started, suspended, killed and reaped without leftovers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil

from rapport_testing.waiting import becomes_true

if TYPE_CHECKING:
    from rapport_testing.forks import ForkedProgram, ForkServer

_LAUNCHER = Path(__file__).with_name("launcher.py")
_GONE_TIMEOUT_S = 10.0


class ProcessError(Exception):
    """A program could not be started, or did not do in time what it was asked."""


@dataclass(frozen=True)
class RunAs:
    """The user a program runs as; the default is the user of the caller.

    Attributes:
        namespace_uid: Run in a user namespace in which the caller appears as this user id.
        drop_to_uid: Give up root for this user id, except for the right to pass folders closed to it.
    """

    namespace_uid: int | None = None
    drop_to_uid: int | None = None


def launch_command(argv: Sequence[str], *, run_as: RunAs, parent_pid: int | None) -> list[str]:
    """Return the command line that runs `argv` as `run_as`, tied to the life of `parent_pid` if one is given."""
    options = {
        "namespace_uid": run_as.namespace_uid,
        "drop_to_uid": run_as.drop_to_uid,
        "parent_pid": parent_pid,
    }
    return [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(options), *argv]


def wait_until_gone(processes: Iterable[psutil.Process], timeout_s: float = _GONE_TIMEOUT_S) -> None:
    """Wait until none of the processes runs; one that has ended and that its new parent has not reaped counts as gone.

    Raises:
        ProcessError: One still runs after `timeout_s` seconds.
    """
    left = list(processes)
    if not becomes_true(lambda: not any(_runs(process) for process in left), timeout_s):
        raise ProcessError(f"still running: {[process.pid for process in left if _runs(process)]}")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return True


class ChildProcess:
    """One program, in its own process group, with its output appended to a log file.

    Unless `detached`, the kernel kills the program when this process dies (Linux), however it dies. A thread of its
    own starts the program and waits for it: the program is reaped the moment it ends, and may be started from a thread
    that ends before it (the kernel ties the life of the child to the starting thread, not to its process).

    Args:
        argv: The command line.
        log_path: Gets its output.
        env: All its variables; those of this process if not given.
        cwd: The folder it works in.
        run_as: The user it runs as.
        detached: Whether it may outlive this process.
        pass_descriptors: Descriptors that it inherits.
        fork_server: Forks it instead of starting it anew: for a program in Python that runs as the caller does.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        run_as: RunAs | None = None,
        detached: bool = False,
        pass_descriptors: Sequence[int] = (),
        fork_server: ForkServer | None = None,
    ) -> None:
        self._argv = list(argv)
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._log_path = log_path
        self._run_as = run_as or RunAs()
        self._detached = detached
        self._pass_descriptors = pass_descriptors
        self._fork_server = fork_server
        self._process: psutil.Process | None = None
        self._ended = threading.Event()
        self._returncode: int | None = None

    def start(self) -> None:
        """Start the program and return at once.

        Raises:
            ProcessError: It could not be executed, or is running already.
        """
        if self.is_running:
            raise ProcessError(f"{self._argv[0]} is already running")
        self._ended = threading.Event()
        self._returncode = None
        started = threading.Event()
        failure: list[Exception] = []
        threading.Thread(
            target=self._run,
            args=(started, self._ended, failure),
            name=f"child {Path(self._argv[0]).name}",
            daemon=True,
        ).start()
        started.wait()
        if failure:
            raise ProcessError(f"{self._argv[0]} could not be started") from failure[0]

    def _run(self, started: threading.Event, ended: threading.Event, failure: list[Exception]) -> None:
        try:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            with self._log_path.open("ab") as log:
                program: subprocess.Popen[bytes] | ForkedProgram
                if self._fork_server is None:
                    program = self._popen(log)
                else:
                    env = os.environ if self._env is None else self._env
                    program = self._fork_server.start(self._argv, env, self._cwd, log.fileno())
            self._process = psutil.Process(program.pid)
        except (OSError, ProcessError) as error:
            failure.append(error)
            return
        finally:
            started.set()
        self._returncode = program.wait()
        ended.set()

    def _popen(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        argv = launch_command(self._argv, run_as=self._run_as, parent_pid=None if self._detached else os.getpid())
        return subprocess.Popen(  # noqa: S603 - the caller names the program
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._env,
            cwd=self._cwd,
            start_new_session=True,
            pass_fds=self._pass_descriptors,
        )

    @property
    def pid(self) -> int | None:
        """The process id while the program runs, else None."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the program has been started and has not ended; a suspended program is running."""
        return self._process is not None and not self._ended.is_set()

    @property
    def returncode(self) -> int | None:
        """The exit code once ended, negative if a signal ended it, else None."""
        return self._returncode

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program alone; nothing happens if it has ended."""
        if self._process is not None and self.is_running:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.send_signal(number)

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until the program has ended and return its exit code, negative if a signal ended it.

        Raises:
            ProcessError: It was never started, or still runs after `timeout_s` seconds.
        """
        if self._process is None:
            raise ProcessError(f"{self._argv[0]} was not started")
        if not self._ended.wait(timeout_s) or self._returncode is None:
            raise ProcessError(f"{self._argv[0]} still runs after {timeout_s} s; its log is {self._log_path}")
        return self._returncode

    def kill(self) -> None:
        """Kill the program and everything it started, at once, and wait until all of it is gone."""
        if self._process is None or not self.is_running:
            return
        family = self._family()
        self.send(signal.SIGKILL)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.wait(_GONE_TIMEOUT_S)
        wait_until_gone(family[1:])

    def terminate(self, timeout_s: float = 10.0, *, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the program to end, kill it if it has not after `timeout_s` seconds, and return its exit code."""
        family = self._resume()
        self.send(number)
        if not self._ended.wait(timeout_s):
            self.kill()
        wait_until_gone(family[1:])
        return self.wait(_GONE_TIMEOUT_S)

    def suspend(self) -> None:
        """Stop the program and everything it started in mid-step (SIGSTOP); `resume` lets it go on.

        Raises:
            ProcessError: A process did not stop.
        """
        family = self._family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        # The signal takes effect a moment after it was sent.
        if not becomes_true(lambda: all(not _runs(each) or _is_stopped(each) for each in family), _GONE_TIMEOUT_S):
            raise ProcessError(f"{self._argv[0]} did not stop")

    def resume(self) -> None:
        """Let a suspended program go on (SIGCONT)."""
        self._resume()

    def _resume(self) -> list[psutil.Process]:
        family = self._family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        return family

    def _family(self) -> list[psutil.Process]:
        """The program first, then all it started, also those that moved to another process group."""
        if self._process is None or not self.is_running:
            return []
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


class OwnsChild:
    """What runs as a program of its own, once it was started."""

    _child: ChildProcess | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process lives, suspended or not."""
        return self._child is not None and self._child.is_running

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._child.pid if self._child is not None else None

    def kill(self) -> None:
        """Kill it and all it started at once (SIGKILL), as a lost machine would, and wait until it is gone."""
        if self._child is not None:
            self._child.kill()

    def suspend(self) -> None:
        """Stop it and all it started in mid-step (SIGSTOP): connections stay open and nothing answers."""
        if self._child is not None:
            self._child.suspend()

    def resume(self) -> None:
        """Let it go on if it is suspended (SIGCONT)."""
        if self._child is not None:
            self._child.resume()
