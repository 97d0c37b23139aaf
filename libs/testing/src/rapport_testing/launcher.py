"""Become the program to run, as the user it must run as, so that it dies with the process that asked for it.

Run as a script by `ChildProcess`, with nothing imported but the standard library: a fork hook inside a process that
already has threads or gRPC would not be safe, this small process is. It keeps its process id: it becomes the program.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CLONE_NEWUSER = 0x10000000
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


def main() -> None:
    """Apply the options of the first argument, then execute the rest of the command line."""
    options = json.loads(sys.argv[1])
    program = sys.argv[2:]
    if options["namespace_uid"] is not None:
        _enter_user_namespace(options["namespace_uid"])
    if options["drop_to_uid"] is not None:
        _drop_to(options["drop_to_uid"])
    if options["parent_pid"] is not None:
        # After the change of user, which clears the setting.
        die_with_parent(options["parent_pid"])
    os.execvp(program[0], program)  # noqa: S606 - the command line comes from our own parent


def die_with_parent(pid: int) -> None:
    """Let the kernel kill this process when its parent, which has this id, ends (Linux; elsewhere nothing happens)."""
    if sys.platform != "linux":
        return
    _checked(_libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != pid:
        sys.exit("the starting process has already ended")


def _enter_user_namespace(uid: int) -> None:
    """Show this process to itself as `uid`, while for the system it stays who it is: files keep their owner."""
    outside = os.geteuid()
    _checked(_libc().unshare(_CLONE_NEWUSER), "unshare(CLONE_NEWUSER)")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside} 1", encoding="ascii")


def _drop_to(uid: int) -> None:
    """Leave root for `uid`, keeping only the right to pass folders of root, such as its home, on the way to a file."""
    libc = _libc()
    if sys.platform == "linux":
        _checked(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl(PR_SET_KEEPCAPS)")
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if sys.platform == "linux":
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        only = 1 << _CAP_DAC_OVERRIDE
        data = (ctypes.c_uint32 * 6)(only, only, only, 0, 0, 0)
        _checked(libc.capset(header, data), "capset")
        _checked(
            libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0), "prctl(PR_CAP_AMBIENT_RAISE)"
        )


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, call: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        sys.exit(f"{call}: {os.strerror(error)}")


if __name__ == "__main__":
    main()
