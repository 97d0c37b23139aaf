"""Folders of keys: files that their owner alone may read, each whole or not there, changed by one process at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LOCK: Final = ".lock"


class KeyFolderError(Exception):
    """A folder of keys cannot be used."""


def write_key_file(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, also after a crash, and that nobody else may read.

    Raises:
        KeyFolderError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise KeyFolderError(f"{path} cannot be written: {error.strerror}") from error


def destroy_key_file(path: Path) -> None:
    """Overwrite and remove a file: blocks that are merely released could be read again.

    Raises:
        KeyFolderError: It cannot be destroyed.
    """
    try:
        with path.open("r+b") as file:
            file.write(b"0" * path.stat().st_size)
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        _sync(path.parent)
    except OSError as error:
        raise KeyFolderError(f"{path} cannot be destroyed: {error.strerror}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from changing the folder.

    Raises:
        KeyFolderError: It cannot be written.
    """
    try:
        descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise KeyFolderError(f"the folder {folder} of keys cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
