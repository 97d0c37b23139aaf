"""What a feature may be made of: sums over facts of some kinds in a window, and simple formulas of such sums.

A measure is a whole number, so that any way to add it up gives the same; it becomes a float first, and all else is done
with floats in the order that is written here. Two programs that follow these definitions agree bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rapport_churn.domain.facts import DAY, FactKind


@dataclass(frozen=True, slots=True)
class Source:
    """Facts of some kinds; of some channels only, or with a value within bounds, both inclusive, where that is said."""

    kinds: tuple[FactKind, ...]
    channels: tuple[int, ...] = ()
    at_least: int | None = None
    at_most: int | None = None

    def __str__(self) -> str:
        text = "+".join(kind.name.lower() for kind in self.kinds)
        if self.channels:
            text += f"@{','.join(map(str, self.channels))}"
        if self.at_least is not None:
            text += f">={self.at_least}"
        if self.at_most is not None:
            text += f"<={self.at_most}"
        return text

    def admits(self, value: int) -> bool:
        """Whether a value lies within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


class Aggregate(Enum):
    """How facts become one whole number. A day is a day of UTC."""

    COUNT = "count"
    VALUE = "value"
    """Sum of values."""
    QUANTITY = "quantity"
    """Sum of quantities."""
    DAYS = "days"
    """Days with at least one of the facts."""
    AGE = "age"
    """Microseconds since the last; absent without one."""
    TENURE = "tenure"
    """Microseconds since the first; absent without one."""
    GAPS = "gaps"
    """Days with one of the facts, less the first; absent without one."""
    SPAN = "span"
    """Days from the first to the last; absent without one."""
    SQUARES = "squares"
    """Sum of the squares of the gaps, in days, between one day with the facts and the next; absent without one."""
    LAST_GAP = "last_gap"
    """Days between the last day with the facts and the one before; absent without two."""
    CHANNEL = "channel"
    """Channel of the last; of the highest number if several are last; absent without one."""


WINDOWED: Final = frozenset({Aggregate.COUNT, Aggregate.VALUE, Aggregate.QUANTITY, Aggregate.DAYS})
"""Aggregates that may have a window and are 0 without facts; the others go over all facts and are absent then."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time (T - skip - days, T - skip] before a cutoff T; without days, all time before.

    With `after` only what came after the last fact of that source counts (all, where there is none).
    """

    days: int | None = None
    skip: int = 0
    after: Source | None = None

    def __post_init__(self) -> None:
        if (self.days is not None and self.days <= 0) or self.skip < 0:
            raise ValueError("a window has a length, and ends at the cutoff or before")
        if self.after is not None and (self.days is not None or self.skip):
            raise ValueError("a window after a fact ends at the cutoff and has no length of its own")

    def __str__(self) -> str:
        if self.after is not None:
            return f"since {self.after}"
        length = "ever" if self.days is None else f"{self.days}d"
        return f"{length} until {self.skip}d ago" if self.skip else length


EVER: Final = Window()


@dataclass(frozen=True, slots=True)
class Measure:
    """A whole number made of facts; as a float, ages and tenures are in days and everything else is as it is."""

    source: Source
    aggregate: Aggregate
    window: Window = EVER

    def __post_init__(self) -> None:
        if self.aggregate not in WINDOWED and self.window != EVER:
            raise ValueError(f"{self.aggregate.value} goes over all time")
        if self.aggregate is Aggregate.DAYS and (self.window.skip or self.window.after is not None):
            raise ValueError("days are counted over whole windows up to the cutoff")

    def __str__(self) -> str:
        return f"{self.aggregate.value}({self.source}; {self.window})"

    @property
    def unit(self) -> int | None:
        """What the number is divided by to become a float; None for nothing."""
        return DAY if self.aggregate in {Aggregate.AGE, Aggregate.TENURE} else None


@dataclass(frozen=True, slots=True)
class Ratio:
    """(top + plus) / (bottom + plus); NaN unless what is below is above zero."""

    top: Term
    bottom: Term
    plus: int = 0

    def __str__(self) -> str:
        return f"({self.top} + {self.plus}) / ({self.bottom} + {self.plus})"


@dataclass(frozen=True, slots=True)
class Excess:
    """What one term has above another, at least zero."""

    term: Term
    above: Term

    def __str__(self) -> str:
        return f"max({self.term} - {self.above}, 0)"


@dataclass(frozen=True, slots=True)
class Variation:
    """Coefficient of variation of the gaps between days with facts of a source; NaN without a gap."""

    source: Source

    def __str__(self) -> str:
        return f"variation({self.source})"

    @property
    def parts(self) -> tuple[Measure, Measure, Measure]:
        """How many gaps there are, their sum and the sum of their squares."""
        aggregates = (Aggregate.GAPS, Aggregate.SPAN, Aggregate.SQUARES)
        gaps, span, squares = (Measure(self.source, aggregate) for aggregate in aggregates)
        return gaps, span, squares


@dataclass(frozen=True, slots=True)
class Month:
    """Month of the cutoff in UTC, from 1: a code."""

    def __str__(self) -> str:
        return "month"


Term = Measure | Ratio | Excess | Variation | Month


def measures_of(term: Term) -> Iterator[Measure]:
    """Yield the measures that a term is made of."""
    match term:
        case Measure():
            yield term
        case Ratio(top, bottom):
            yield from measures_of(top)
            yield from measures_of(bottom)
        case Excess(inner, above):
            yield from measures_of(inner)
            yield from measures_of(above)
        case Variation():
            yield from term.parts
        case Month():
            return
