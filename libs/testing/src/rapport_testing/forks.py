"""Programs in Python forked from a process that has already imported what they import, which most of a start is."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from rapport_testing import fork_server
from rapport_testing.child import ChildProcess, ProcessError

_servers: dict[object, ForkServer] = {}
_lock = threading.Lock()


def fork_server_for(modules: Sequence[str], env: Mapping[str, str], log_path: Path) -> ForkServer:
    """Return the fork server of this process that has imported these modules under this environment.

    Args:
        modules: What it imports.
        env: The variables of the program to come. Those of a service (`RAPPORT_…`) and of pytest are read by nothing
            that is imported; for a difference in any other there is another server.
        log_path: Gets what a server says that is started now.
    """
    fixed = {name: value for name, value in env.items() if not name.startswith(("RAPPORT_", "PYTEST_"))}
    key = (tuple(modules), frozenset(fixed.items()))
    with _lock:
        server = _servers.get(key)
        if server is not None and not server.is_running:
            server.stop()
            server = None
        if server is None:
            server = _servers[key] = ForkServer(modules, fixed, log_path)
        return server


def stop_fork_servers() -> None:
    """Stop all fork servers of this process, and with them what they forked."""
    with _lock:
        for server in _servers.values():
            server.stop()
        _servers.clear()


class ForkServer:
    """A process that has imported some modules and does nothing but fork; it dies with this process."""

    def __init__(self, modules: Sequence[str], env: Mapping[str, str], log_path: Path) -> None:
        self._control, theirs = socket.socketpair()
        self._lock = threading.Lock()
        argv = [sys.executable, "-m", fork_server.__name__, str(theirs.fileno()), *modules]
        # The pool of threads that numpy's library starts would not live on in a fork.
        self._process = ChildProcess(
            argv, env={**env, "OPENBLAS_NUM_THREADS": "1"}, log_path=log_path, pass_descriptors=[theirs.fileno()]
        )
        with theirs:
            self._process.start()

    @property
    def is_running(self) -> bool:
        """Whether it can still be asked: it has not closed its end, which it does before its programs end."""
        poll = select.poll()
        poll.register(self._control, 0)
        return not poll.poll(0)

    def stop(self) -> None:
        """End it, and with it what it forked."""
        self._process.kill()
        self._control.close()

    def start(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path | None, log: int) -> ForkedProgram:
        """Return a program that waits to be let go.

        Args:
            argv: Python, then a script, or "-m" and a module, then arguments.
            env: All its variables.
            cwd: Its folder; this process's if None.
            log: Descriptor of the file that gets its output.

        Raises:
            ProcessError: The server has ended.
        """
        order = {"argv": list(argv), "env": dict(env), "cwd": str(cwd or Path.cwd())}
        with contextlib.ExitStack() as failing:
            connection, theirs = socket.socketpair()
            failing.enter_context(connection)
            try:
                with theirs, self._lock:
                    socket.send_fds(self._control, [b"."], [theirs.fileno(), log])
                connection.sendall(json.dumps(order).encode() + b"\n")
                answers = failing.enter_context(connection.makefile("rb"))
                pid = int(answers.readline())
            except (OSError, ValueError) as error:
                raise ProcessError("the fork server has ended") from error
            failing.pop_all()
        return ForkedProgram(pid, connection, answers)


class ForkedProgram:
    """A program that was forked, and begins when it is waited for."""

    def __init__(self, pid: int, connection: socket.socket, answers: BinaryIO) -> None:
        self.pid = pid
        self._connection = connection
        self._answers = answers

    def wait(self) -> int:
        """Let it begin, and return its exit code once it has ended, negative if a signal ended it."""
        with self._connection, self._answers, contextlib.suppress(OSError, ValueError):
            self._connection.sendall(b".")
            return int(self._answers.readline())
        return -signal.SIGKILL  # its server has ended, which it does not outlive
