"""The two sizes of a heavy test, the figures the full size proves, and the bar it shows meanwhile."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from rapport_testing.files import replace_file

T = TypeVar("T")

_BAR_WIDTH = 30
_REPAINT_S = 0.2


@dataclass(frozen=True)
class Scale:
    """The size at which heavy tests run.

    Attributes:
        name: `small` in every check; `full` for the figures that are promised.
    """

    name: Literal["small", "full"]

    @property
    def is_full(self) -> bool:
        """Whether this run is to prove the promised figures."""
        return self.name == "full"

    def pick(self, *, small: T, full: T) -> T:
        """Return the value for this size."""
        return full if self.is_full else small


def record_figures(folder: Path, name: str, figures: dict[str, Any]) -> Path:
    """Add figures to `<folder>/<name>.json`, over earlier ones of the same names, and return the file."""
    path = folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        merged = json.dumps({**earlier, **figures}, indent=2, sort_keys=True, ensure_ascii=False)
        replace_file(path, merged.encode() + b"\n")
    return path


class Progress:
    """A bar for a long test: repainted on a terminal, a line at each tenth elsewhere.

    Args:
        total: How many steps there are.
        label: What is counted.
        write: Shows a piece of text; None for no bar at all.
        is_terminal: Whether what is shown can be painted over.
    """

    def __init__(
        self, total: int, label: str, write: Callable[[str], None] | None, *, is_terminal: bool = False
    ) -> None:
        self.done = 0
        self._is_terminal = is_terminal
        self._total = total
        self._label = label
        self._write = write
        self._began = time.monotonic()
        self._painted = 0.0
        self._tenth = 0

    def advance(self, steps: int = 1) -> None:
        """Count steps as done."""
        self.done += steps
        if self._write is None:
            return
        finished = self.done >= self._total
        if self._is_terminal:
            if finished or time.monotonic() - self._painted >= _REPAINT_S:
                self._painted = time.monotonic()
                self._write(f"\r{self._line()}" + ("\n" if finished else ""))
        elif 10 * self.done // self._total > self._tenth:
            self._tenth = 10 * self.done // self._total
            self._write(f"{self._line()}\n")

    def _line(self) -> str:
        share = min(self.done / self._total, 1.0)
        elapsed = time.monotonic() - self._began
        left = elapsed * (1 - share) / share if share else 0.0
        bar = "#" * round(share * _BAR_WIDTH)
        return f"{self._label} [{bar:<{_BAR_WIDTH}}] {self.done:,}/{self._total:,} {elapsed:.0f} s, {left:.0f} s left"
