"""Keys in files: the newest first, one a line; the first is made where there is none."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

_BYTES: Final = 32


def load_keys(folder: Path, name: str) -> list[bytes]:
    """Return the keys of a purpose; to rotate, a new line is put in front of the file.

    Args:
        folder: Where keys are; readable by the service alone.
        name: The purpose, which is the file's name without ".key".

    Raises:
        OSError: The folder is missing or cannot be written.
        ValueError: A line is not a key in hexadecimal.
    """
    path = folder / f"{name}.key"
    if not path.exists():
        _make(path)
    found = [bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()]
    if not found or any(len(key) < _BYTES for key in found):
        raise ValueError(f"{path.name}: each line is a key of at least {_BYTES} bytes")
    return found


def _make(path: Path) -> None:
    """Make the first key. Of two processes that do it at once, one wins, and both read what it wrote."""
    own = path.with_suffix(f".{os.getpid()}")
    own.touch(mode=0o600)
    own.write_text(secrets.token_hex(_BYTES) + "\n", encoding="ascii")
    with suppress(FileExistsError):
        os.link(own, path)
    own.unlink()
