"""Figures of a long run: kept as they come, so that a run that was stopped goes on, and written when all are there."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from rapport_testing.bench import Figure, write_figures
from rapport_testing.files import replace_file
from rapport_testing.prove import Progress

ROOT: Final = Path(__file__).resolve().parents[3]
FOLDER: Final = ROOT / "build" / "bench"
_SOURCES: Final = ("services/identity/src/rapport_identity", "services/identity/benchmarks")


class Kept:
    """What was measured before by the very same code; gone once the run ends.

    Args:
        name: Of the run.
        fresh: Whether to measure all of it again.
    """

    def __init__(self, name: str, *, fresh: bool = False) -> None:
        self._name = name
        self._path = FOLDER / f".{name}.partial.json"
        self._code = _fingerprint()
        self._done: dict[str, Any] = {}
        if not fresh and self._path.exists():
            found = json.loads(self._path.read_text("utf-8"))
            if found["code"] == self._code:
                self._done = found["done"]

    def get(self, what: str, measure: Callable[[], Any]) -> Any:
        """Return what was measured before, or measure it and keep it; JSON values only."""
        if what not in self._done:
            self.put(what, measure())
        return self._done[what]

    def find(self, what: str) -> Any:
        """Return what was measured before; None if it was not."""
        return self._done.get(what)

    def put(self, what: str, value: Any) -> None:
        """Keep what was measured; JSON values only."""
        self._done[what] = value
        FOLDER.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, json.dumps({"code": self._code, "done": self._done}).encode())

    def finish(self, figures: Iterable[Figure]) -> Path:
        """Write the figures and return the file."""
        path = write_figures(FOLDER / f"{self._name}.jsonl", figures)
        self._path.unlink(missing_ok=True)
        return path


def bar(total: int, label: str) -> Progress:
    """Return a bar with an estimate, beside the table."""
    return Progress(total, label, _show, is_terminal=sys.stderr.isatty())


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".json"):
                digest.update(path.read_bytes())
    return digest.hexdigest()
