"""Values read from files that may change at any time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from rapport_chassis.telemetry.logs import get_logger

T = TypeVar("T")

CHECK_EVERY_S: Final = 0.2
"""How often files are looked at, at most, where calls ask for them: a look costs one `stat` per file."""

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Reloaded(Generic[T]):
    """A value read from files and read again after one of them changed; the last good value while they are bad.

    Nothing runs in the background: `current` looks at the files. May be asked from any thread.
    """

    def __init__(
        self, what: str, paths: Sequence[Path], read: Callable[[], T], *, check_every_s: float = CHECK_EVERY_S
    ) -> None:
        """Read the value for the first time.

        Args:
            what: Name of the value in logs, one word.
            paths: The files it is made of.
            read: Reads them; whatever it raises here is raised, and later logged.
            check_every_s: How often to look at the files, at most; 0 for each time it is asked.
        """
        self._what = what
        self._paths = tuple(paths)
        self._read = read
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._bad_stamp: _Stamp | None = None
        self._value = read()
        self._check_every_s = check_every_s
        self._next_look = time.monotonic() + check_every_s
        self.generation = 1

    def current(self) -> T:
        """Return the value, after reading it again if a file has changed."""
        if time.monotonic() >= self._next_look:
            self._refresh()
        return self._value

    def _refresh(self) -> None:
        with self._lock:
            self._next_look = time.monotonic() + self._check_every_s
            stamp = self._look()
            if stamp == self._stamp:
                return
            try:
                value = self._read()
            except Exception as error:
                if stamp != self._bad_stamp:
                    get_logger().warning("file_not_usable", file=self._what, error=error)
                self._bad_stamp = stamp
                return
            # Taken before the read: a change in between is seen at the next look.
            self._stamp, self._value = stamp, value
            self.generation += 1
        get_logger().info("file_reloaded", file=self._what)

    def _look(self) -> _Stamp:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        state = os.stat(path)  # noqa: PTH116 - follows links, as mounted secrets are
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino
