"""Where a running environment shows itself: a live table on a terminal, plain lines everywhere else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from rapport_local.progress import Progress, Step
from rapport_local.status import EnvironmentStatus, ProcessStatus, status_table


class Screen(Protocol):
    """What `rapport up` draws on."""

    def step_ended(self, step: Step) -> None:
        """Show that a step has ended."""

    def process_changed(self, process: ProcessStatus) -> None:
        """Show that a process has changed."""

    def draw(self) -> None:
        """Bring what is drawn up to date; called several times a second."""

    def say(self, text: str) -> None:
        """Show a line."""

    def close(self) -> None:
        """Leave the last state standing."""


class PlainScreen:
    """Lines of text with times, for logs, pipes and CI. Once nobody reads them any more they are dropped."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._states: dict[str, str] = {}

    def step_ended(self, step: Step) -> None:
        """Print the step with its time."""
        self.say(step.line())

    def process_changed(self, process: ProcessStatus) -> None:
        """Print the new state, if it is another one."""
        if self._states.get(process.name) != process.state:
            self._states[process.name] = process.state
            self.say("  ".join(filter(None, (process.name, process.state, process.note))))

    def draw(self) -> None:
        """Nothing is drawn again."""

    def say(self, text: str) -> None:
        """Print a line."""
        with contextlib.suppress(OSError):
            self._write(f"{time.strftime('%H:%M:%S')}  {text}")

    def close(self) -> None:
        """Nothing to leave."""


class LiveScreen:
    """The steps, and below them the table, redrawn in place. A terminal that is gone is no error.

    Args:
        console: The terminal.
        progress: The steps.
        status: Asked for what the table shows.
    """

    def __init__(self, console: Console, progress: Progress, status: Callable[[], EnvironmentStatus]) -> None:
        self._progress = progress
        self._status = status
        self._line = ""
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._live.start()

    def step_ended(self, step: Step) -> None:
        """Draw the step's time."""
        self.draw()

    def process_changed(self, process: ProcessStatus) -> None:
        """The next drawing shows it."""

    def draw(self) -> None:
        """Draw everything again."""
        with contextlib.suppress(OSError):
            self._live.update(self._picture(), refresh=True)

    def say(self, text: str) -> None:
        """Show a line below the table, in place of the one before."""
        self._line = text
        self.draw()

    def close(self) -> None:
        """Leave the last picture on the terminal."""
        with contextlib.suppress(OSError):
            self.draw()
            self._live.stop()

    def _picture(self) -> RenderableType:
        status = self._status()
        parts: list[RenderableType] = []
        if status.phase == "starting":
            parts.append(self._progress)
        else:
            parts.append(Text(f"Rapport in {status.folder}", "bold"))
        parts += [Text(), status_table(status)]
        if self._line:
            parts += [Text(), Text(self._line, "dim")]
        return Group(*parts)
