"""What the demo prints, for a person to read in 80 columns; all of it is kept as a story."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rapport.consent.v1 import consent_pb2, purpose_pb2
from rich.console import Console
from rich.text import Text

from rapport_local.demo.story import (
    Chart,
    Check,
    Decided,
    Figure,
    Lines,
    Part,
    Rows,
    Said,
    Scene,
    Share,
    Story,
    Timeline,
)
from rapport_local.reports.plots import Lane

_WIDTH: Final = 80
_INDENT: Final = 3
_BAR: Final = 24


class Report:
    """Prints scene after scene, and keeps what was told.

    Args:
        console: Where to; never written beyond 80 columns.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chapter = ""
        self.story = Story()

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapter = title
        self._console.print()
        self._console.print(Text(f"── {title} ".ljust(_WIDTH, "─"), "bold cyan"))

    @contextmanager
    def scene(self, title: str) -> Iterator[None]:
        """Print the title, then what happens inside, then how long it took."""
        scene = Scene(self._chapter, title)
        self.story.scenes.append(scene)
        self._console.print()
        self._console.print(Text(f"{len(self.story.scenes):>2} {title}", "bold"))
        began = time.monotonic()
        try:
            yield
        finally:
            scene.took_s = time.monotonic() - began
            self._console.print(Text(f"{scene.took_s:.1f} s".rjust(_WIDTH), "dim"))

    def say(self, text: str) -> None:
        """Print a paragraph."""
        self._keep(Said(text))
        for line in textwrap.wrap(text, _WIDTH - _INDENT):
            self.line(Text(line, "dim"))

    def line(self, text: str | Text) -> None:
        """Print a line for those who watch: it is not kept."""
        indented = Text.assemble(" " * _INDENT, text)
        indented.truncate(_WIDTH, overflow="ellipsis")
        self._console.print(indented, soft_wrap=True)

    def lines(self, title: str, lines: Iterable[str]) -> None:
        """Print lines whose places mean something."""
        kept = Lines(title, list(lines))
        self._keep(kept)
        self.line(Text(title, "dim"))
        for each in kept.lines:
            self.line(each)

    def rows(self, rows: Sequence[Sequence[str]], *, heading: bool = True) -> None:
        """Print rows in columns.

        Args:
            rows: The rows, of as many columns each.
            heading: Whether the first row names the columns; else the first column names the rows.
        """
        self._keep(Rows([list(row) for row in rows], heading))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for at, row in enumerate(rows):
            text = "  ".join(f"{value:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip()
            self.line(Text(text, "underline" if heading and at == 0 else ""))

    def chart(self, title: str, shares: Sequence[Share]) -> None:
        """Print bars below one another."""
        self._keep(Chart(title, list(shares)))
        most = max((abs(each.value) for each in shares), default=0.0) or 1.0
        widest = max((len(each.name) for each in shares), default=0)
        self.line(Text(title, "dim"))
        for each in shares:
            length = round(abs(each.value) / most * _BAR)
            style = "red" if each.value < 0 else "cyan"
            self.line(Text.assemble(f"{each.name:<{widest}}  ", ("█" * length or "▏", style), f" {each.label}"))

    def timeline(self, title: str, lanes: Sequence[Lane]) -> None:
        """Print what happened when."""
        self._keep(Timeline(title, list(lanes)))
        self.line(Text(title, "dim"))
        widest = max((len(each.lane) for each in lanes), default=0)
        for each in lanes:
            self.line(
                Text.assemble(
                    (f"{each.begin_ms:8,.0f} ms", "dim"),
                    f"  {each.lane:<{widest}}  ",
                    f"{'  ' * each.depth}{each.what}",
                )
            )

    def decision(self, who: str, entry: consent_pb2.CheckEntry, decision: consent_pb2.Decision) -> None:
        """Print what may be done, and why."""
        answer, reason = words(decision)
        purpose = f"{entry.purpose_id} ({entry.brand_id})" if entry.brand_id else entry.purpose_id
        basis = basis_words(decision.basis)
        reason = reason.replace("_", " ").lower()
        self._keep(Decided(who, purpose, answer, reason, basis))
        self.line(
            Text.assemble(
                f"{who:<5} {purpose:<24} ",
                (f"{answer:<8} ", "bold green" if answer == "PERMIT" else "bold red"),
                f"{reason:<16} ",
                (f"basis: {basis}", "dim"),
            )
        )

    def expect(self, holds: bool, what: str) -> None:
        """Print whether something that must hold does, and remember it if not."""
        mark, style = ("✓", "green") if holds else ("✗", "bold red")
        self.line(Text.assemble((mark, style), " ", what))
        self._keep(Check(holds, what))

    def figure(self, name: str, value: str, note: str) -> None:
        """Keep a figure for the summary."""
        self.story.figures.append(Figure(name, value, note))

    def summary(self) -> None:
        """Print the figures that were kept."""
        widest = max((len(each.name) for each in self.story.figures), default=0)
        broad = max((len(each.value) for each in self.story.figures), default=0)
        for each in self.story.figures:
            self.line(
                Text.assemble(f"{each.name:<{widest}}  ", (f"{each.value:>{broad}}  ", "bold"), (each.note, "dim"))
            )

    def _keep(self, part: Part) -> None:
        if self.story.scenes:
            self.story.scenes[-1].parts.append(part)


def basis_words(basis: purpose_pb2.LegalBasis.ValueType) -> str:
    """Return a legal basis in words."""
    return purpose_pb2.LegalBasis.Name(basis).removeprefix("LEGAL_BASIS_").replace("_", " ").lower()


def words(decision: consent_pb2.Decision) -> tuple[str, str]:
    """Return answer and reason of a decision, such as PERMIT and GRANTED."""
    return (
        consent_pb2.Answer.Name(decision.answer).removeprefix("ANSWER_"),
        consent_pb2.DecisionReason.Name(decision.reason).removeprefix("DECISION_REASON_"),
    )
