"""What the demo prints, for a person to read in 80 columns, and what of it did not hold."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rapport.consent.v1 import consent_pb2, purpose_pb2
from rich.console import Console
from rich.text import Text

_WIDTH: Final = 80
_INDENT: Final = 3


class Report:
    """Prints scene after scene and counts what was expected.

    Args:
        console: Where to; never written beyond 80 columns.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._scenes = 0
        self.held = 0
        self.broken: list[str] = []

    @contextmanager
    def scene(self, title: str) -> Iterator[None]:
        """Print the title, then what happens inside, then how long it took."""
        self._scenes += 1
        self._console.print()
        self._console.print(Text(f"{self._scenes:>2} {title}", "bold"))
        began = time.monotonic()
        yield
        self._console.print(Text(f"{time.monotonic() - began:.1f} s".rjust(_WIDTH), "dim"))

    def say(self, text: str) -> None:
        """Print a paragraph."""
        for line in textwrap.wrap(text, _WIDTH - _INDENT):
            self.line(Text(line, "dim"))

    def line(self, text: str | Text) -> None:
        """Print a line as it is."""
        indented = Text.assemble(" " * _INDENT, text)
        indented.truncate(_WIDTH, overflow="ellipsis")
        self._console.print(indented, soft_wrap=True)

    def rows(self, rows: Sequence[Sequence[str]]) -> None:
        """Print rows in columns."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            self.line("  ".join(f"{value:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip())

    def decision(self, who: str, entry: consent_pb2.CheckEntry, decision: consent_pb2.Decision) -> None:
        """Print what may be done, and why."""
        answer, reason = words(decision)
        purpose = f"{entry.purpose_id} ({entry.brand_id})" if entry.brand_id else entry.purpose_id
        basis = purpose_pb2.LegalBasis.Name(decision.basis).removeprefix("LEGAL_BASIS_").replace("_", " ").lower()
        self.line(
            Text.assemble(
                f"{who:<5} {purpose:<24} ",
                (f"{answer:<8} ", "bold green" if answer == "PERMIT" else "bold red"),
                f"{reason.replace('_', ' ').lower():<16} ",
                (f"basis: {basis}", "dim"),
            )
        )

    def expect(self, holds: bool, what: str) -> None:
        """Print whether something that must hold does, and remember it if not."""
        mark, style = ("✓", "green") if holds else ("✗", "bold red")
        self.line(Text.assemble((mark, style), " ", what))
        if holds:
            self.held += 1
        else:
            self.broken.append(what)


def words(decision: consent_pb2.Decision) -> tuple[str, str]:
    """Return answer and reason of a decision, such as PERMIT and GRANTED."""
    return (
        consent_pb2.Answer.Name(decision.answer).removeprefix("ANSWER_"),
        consent_pb2.DecisionReason.Name(decision.reason).removeprefix("DECISION_REASON_"),
    )
