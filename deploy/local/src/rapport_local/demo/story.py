"""What a telling of the demo held, in order: printed while it happens, and kept for its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rapport_local.reports.plots import Lane


@dataclass(frozen=True)
class Said:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Lines:
    """Lines whose places mean something, such as a tree; `title` says what they are."""

    title: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Rows:
    """A table; with `heading` its first row names the columns, else its first column names the rows."""

    rows: Sequence[Sequence[str]]
    heading: bool


@dataclass(frozen=True)
class Decided:
    """What may be done to somebody, and why."""

    who: str
    purpose: str
    answer: str
    reason: str
    basis: str


@dataclass(frozen=True)
class Check:
    """Something that must hold, and whether it did."""

    holds: bool
    what: str


@dataclass(frozen=True)
class Share:
    """Some of many: a row of a chart.

    Attributes:
        name: Which.
        value: How long its bar is; below zero to the left.
        label: What is written at the bar.
    """

    name: str
    value: float
    label: str


@dataclass(frozen=True)
class Chart:
    """Bars below one another; `title` says what they show."""

    title: str
    shares: Sequence[Share]


@dataclass(frozen=True)
class Timeline:
    """What happened when, in lanes of services; `title` says what it shows."""

    title: str
    lanes: Sequence[Lane]


Part: TypeAlias = Said | Lines | Rows | Decided | Check | Chart | Timeline


@dataclass
class Scene:
    """A scene, with what was said in it and how long it took."""

    chapter: str
    title: str
    parts: list[Part] = field(default_factory=list)
    took_s: float = 0.0


@dataclass(frozen=True)
class Figure:
    """A figure of the summary: what is counted, how much, and what that rests on."""

    name: str
    value: str
    note: str


@dataclass
class Story:
    """Everything that was told.

    Attributes:
        scenes: In their order.
        figures: For the summary, in their order.
        took_s: How long it took.
    """

    scenes: list[Scene] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def checks(self) -> list[Check]:
        """Everything that had to hold."""
        return [part for scene in self.scenes for part in scene.parts if isinstance(part, Check)]

    @property
    def held(self) -> int:
        """How many checks held."""
        return sum(each.holds for each in self.checks)

    @property
    def broken(self) -> list[str]:
        """What did not hold."""
        return [each.what for each in self.checks if not each.holds]
