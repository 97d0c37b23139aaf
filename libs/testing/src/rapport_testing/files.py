"""Files that other processes read while they change."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write the file beside its place, with its final mode, and move it there: no reader sees a part of it.

    Folders that do not exist are made, closed to other users.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    Path(temporary).replace(path)


def end_of_file(path: Path, lines: int = 20) -> str:
    """Return the last lines of a log, for the text of an error."""
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return f"(there is no {path})"
