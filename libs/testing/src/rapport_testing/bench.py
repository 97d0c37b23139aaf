"""Benchmarks: figures as ratios to a floor of the same run, medians of interleaved rounds, one table and one file."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Subject = Callable[[], Awaitable[object]]

_WIDTHS: Final = (44, 12, 12, 8, 9)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        bench: What was measured.
        value: The figure.
        floor: The floor, measured in the same run; None where there is none.
        unit: Of both.
        budget: The ratio that is allowed, as text such as "<= 1.6"; empty where there is none.
    """

    bench: str
    value: float
    unit: str
    floor: float | None = None
    budget: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over floor."""
        return None if self.floor is None else self.value / self.floor


class Report:
    """Collects the figures of one service, prints them as they come and writes them at the end."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = folder
        self._figures: list[Figure] = []
        self._line("figure", "value", "floor", "ratio", "budget")

    def add(self, figure: Figure) -> None:
        """Print a figure and keep it."""
        self._figures.append(figure)
        floor = "" if figure.floor is None else f"{figure.floor:,.1f} {figure.unit}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x"
        self._line(figure.bench, f"{figure.value:,.1f} {figure.unit}", floor, ratio, figure.budget)

    def write(self) -> Path:
        """Write the figures and return the file."""
        return write_figures(self._folder / f"{self._name}.jsonl", self._figures)

    def _line(self, *cells: str) -> None:
        first, *others = (cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
        sys.stdout.write("  ".join([first.strip().ljust(_WIDTHS[0]), *others]).rstrip() + "\n")
        sys.stdout.flush()


def write_figures(path: Path, figures: Iterable[Figure]) -> Path:
    """Write figures, one JSON object a line, and return the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(
            {
                "bench": each.bench,
                "value": each.value,
                "floor": each.floor,
                "ratio": each.ratio,
                "unit": each.unit,
                "budget": each.budget,
            }
        )
        for each in figures
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


async def latencies_us(subjects: Sequence[Subject], *, rounds: int, calls: int) -> list[list[float]]:
    """Time several calls in turn, so that a noisy moment hits all of them alike.

    Args:
        subjects: What to call, one at a time.
        rounds: How often to go round.
        calls: Calls of each subject in a round.

    Returns:
        For each subject every call's microseconds, the first round left out.
    """
    taken: list[list[float]] = [[] for _ in subjects]
    for turn in range(rounds + 1):
        for index, subject in enumerate(subjects):
            for _ in range(calls):
                began = time.perf_counter()
                await subject()
                if turn:
                    taken[index].append((time.perf_counter() - began) * 1e6)
    return taken


def p50(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(values, n=100)[98]
