"""The steps of a longer command, each with its time, as they begin and end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from rich.table import Table
from rich.text import Text


@dataclass
class Step:
    """One step.

    Attributes:
        text: What is done.
        state: How it stands.
        took_s: How long it took, once ended.
    """

    text: str
    state: Literal["running", "done", "failed"] = "running"
    took_s: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        """Return the step as one plain line."""
        return f"{'ok' if self.state == 'done' else self.state:<7} {self.took_s:5.2f} s  {self.text}"


class Progress:
    """Collects steps, which may run at the same time.

    Args:
        ended: Called with each step as it ends; for output that cannot be drawn again.
    """

    def __init__(self, ended: Callable[[Step], None] | None = None) -> None:
        self.steps: list[Step] = []
        self._ended = ended
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Time what is done inside; an exception marks the step as failed and goes on."""
        step = Step(text)
        self.steps.append(step)
        try:
            yield
        except BaseException:
            self._end(step, "failed")
            raise
        self._end(step, "done")

    def __rich__(self) -> Table:
        """Draw all steps; a running one shows how long it has taken so far."""
        table = Table.grid(padding=(0, 2, 0, 0))
        for step in self.steps:
            took_s = step.took_s if step.state != "running" else time.monotonic() - step.began
            mark, style = {"running": ("…", "cyan"), "done": ("✓", "green"), "failed": ("✗", "red")}[step.state]
            table.add_row(Text(mark, style), Text(step.text), Text(f"{took_s:.1f} s", "dim", justify="right"))
        return table

    def _end(self, step: Step, state: Literal["done", "failed"]) -> None:
        step.state = state
        step.took_s = time.monotonic() - step.began
        if self._ended is not None:
            self._ended(step)
