"""The program that `ForkServer` runs: it imports what programs to come will import, and becomes each by a fork.

It starts no thread, no event loop and no gRPC, so a fork of it is as good as a new interpreter that has imported as
much. `python -m rapport_testing.fork_server DESCRIPTOR MODULE...`: orders come in at the descriptor of a socket.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rapport_testing.launcher import die_with_parent

ORDER_LIMIT = 1 << 20


@dataclass(frozen=True)
class Order:
    """A program to become.

    Attributes:
        argv: Its command line: Python, then a script, or "-m" and a module, then arguments.
        env: All its variables.
        cwd: Its folder; that of this process if None.
        log: Descriptor of the file that gets its output.
        parent_pid: Whom it must not outlive.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str | None
    log: int
    parent_pid: int

    def run(self) -> None:
        """Become the program; it ends as it would have ended as a process of its own."""
        os.setsid()
        die_with_parent(self.parent_pid)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for ours, theirs in ((nothing, 0), (self.log, 1), (self.log, 2)):
            os.dup2(ours, theirs)
        os.close(nothing)
        os.close(self.log)
        os.environ.clear()
        os.environ.update(self.env)
        if self.cwd is not None:
            os.chdir(self.cwd)
        first, *others = self.argv[1:]
        if first == "-m":
            sys.path[0] = str(Path.cwd())
            sys.argv = others
            runpy.run_module(others[0], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(first).parent)
            sys.argv = [first, *others]
            runpy.run_path(first, run_name="__main__")


def main() -> None:
    """Import, then take orders until the other end is closed."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        import_module(name)
    if sys.platform == "linux" and len(list(Path("/proc/self/task").iterdir())) > 1:
        sys.exit("a module starts a thread when imported, which a fork does not have")
    gc.freeze()  # a collection in a child would copy the pages of all of this
    order = _next_order(control)
    if order is not None:
        order.run()


def _next_order(control: socket.socket) -> Order | None:
    """Fork at each order. Return it in the child; return None, in this process, after the last one."""
    woken, wake = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _tell_who_ended(running)
        if control not in ready:
            continue
        mark, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not mark:
            return None
        connection = socket.socket(fileno=descriptors[0])
        order = _read(connection, descriptors[1])
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            known = connection.recv(1)
            for each in (control, woken, wake, connection, *running.values()):
                each.close()
            return order if known else None
        os.close(order.log)
        running[pid] = connection
        connection.sendall(b"%d\n" % pid)


def _read(connection: socket.socket, log: int) -> Order:
    with connection.makefile("rb") as lines:
        told: dict[str, Any] = json.loads(lines.readline(ORDER_LIMIT))
    return Order(**told, log=log, parent_pid=os.getpid())


def _tell_who_ended(running: dict[int, socket.socket]) -> None:
    for pid, connection in list(running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with connection, contextlib.suppress(OSError):  # nobody may wait for it any more
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            del running[pid]


if __name__ == "__main__":
    main()
