"""The folders of the Unix sockets, outside the data folders, whose paths are too long for a socket."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from rapport_testing.child import ProcessError

_PREFIX = "rapport-socket-"
_MAX_SOCKET_PATH = 99


def socket_folder_of(data_folder: Path) -> Path:
    """Return a folder short enough for a socket, whose name follows from the data folder: every run finds it."""
    name = _PREFIX + hashlib.sha256(os.fsencode(data_folder)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / name
    fits = len(str(folder / ".s.PGSQL.65535.lock")) <= _MAX_SOCKET_PATH
    return folder if fits else Path("/tmp") / name  # noqa: S108 - created closed to others


def make_private(folder: Path) -> None:
    """Create a socket folder that no other user can enter.

    Raises:
        ProcessError: Another user has put something in its place.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    mine = status.st_uid == os.geteuid() or os.geteuid() == 0
    if folder.is_symlink() or not mine or status.st_mode & 0o077:
        raise ProcessError(f"{folder} belongs to somebody else; remove it")


def remove_abandoned_folders() -> None:
    """Remove the socket folders of killed servers whose data folders, named in their lock files, are gone too."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, IndexError):  # others stop their servers and remove their folders meanwhile
            for lock_file in folder.glob(".s.PGSQL.*.lock"):
                if not Path(lock_file.read_text(encoding="utf-8").splitlines()[1]).exists():
                    shutil.rmtree(folder, ignore_errors=True)
