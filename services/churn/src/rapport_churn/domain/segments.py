"""Where a customer stands: a segment by recency, frequency and money among all customers, and a tier of their own life.

A segment compares: it needs the fifths of a population, which are fitted with a model and stored with it. A tier does
not, and can be told of the first customer of the first day.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Self

from rapport_churn.domain.features import Summary
from rapport_churn.domain.labels import Horizon, PopulationRule

_FIFTHS: Final = 5
_LOYAL_PURCHASES: Final = 6


class Segment(StrEnum):
    """A segment. The first part of a name says how it is with them, not what to do."""

    CHAMPION = "champion"
    LOYAL = "loyal"
    PROMISING = "promising"
    RECENT = "recent"
    NEEDS_ATTENTION = "needs_attention"
    FADING = "fading"
    CANNOT_LOSE = "cannot_lose"
    AT_RISK = "at_risk"
    HIBERNATING = "hibernating"
    LOST = "lost"


class Tier(StrEnum):
    """A tier of the life cycle."""

    PROSPECT = "prospect"
    """Has bought nothing yet."""
    NEW = "new"
    """Has bought on one day, not long ago."""
    ACTIVE = "active"
    LOYAL = "loyal"
    """Has bought on six days or more, and not long ago."""
    SLIPPING = "slipping"
    """Has not bought for longer than the horizon: most who come back are back by then."""
    LAPSED = "lapsed"
    """Is no customer any more, as the population rule has it."""


class Rfm(NamedTuple):
    """Fifths, 1 to 5, 5 the best: how recently, how often, for how much."""

    recency: int
    frequency: int
    money: int


@dataclass(frozen=True, slots=True)
class Fifths:
    """The cuts between the fifths of a population, in ascending order.

    Attributes:
        silent_days: Days since the last day with a purchase.
        order_days: Days with a purchase.
        spend: Minor units spent, over the time the caller chose.
    """

    silent_days: tuple[float, ...]
    order_days: tuple[float, ...]
    spend: tuple[float, ...]

    @classmethod
    def fit(cls, silent_days: Sequence[float], order_days: Sequence[float], spend: Sequence[float]) -> Self:
        """Cut a population that is not empty into fifths; equal people are never cut apart."""
        return cls(_cuts(silent_days), _cuts(order_days), _cuts(spend))

    def rank(self, silent_days: float, order_days: float, spend: float) -> Rfm:
        """Say to which fifths someone belongs."""
        return Rfm(
            _FIFTHS - bisect_left(self.silent_days, silent_days),
            1 + bisect_left(self.order_days, order_days),
            1 + bisect_left(self.spend, spend),
        )


def _cuts(values: Sequence[float]) -> tuple[float, ...]:
    ordered = sorted(values)
    return tuple(float(ordered[(len(ordered) * fifth - 1) // _FIFTHS]) for fifth in range(1, _FIFTHS))


_SEGMENTS: Final = (
    (Segment.LOST, Segment.HIBERNATING, Segment.AT_RISK, Segment.AT_RISK, Segment.CANNOT_LOSE),
    (Segment.HIBERNATING, Segment.HIBERNATING, Segment.AT_RISK, Segment.AT_RISK, Segment.CANNOT_LOSE),
    (Segment.FADING, Segment.FADING, Segment.NEEDS_ATTENTION, Segment.LOYAL, Segment.LOYAL),
    (Segment.RECENT, Segment.PROMISING, Segment.PROMISING, Segment.LOYAL, Segment.CHAMPION),
    (Segment.RECENT, Segment.PROMISING, Segment.PROMISING, Segment.LOYAL, Segment.CHAMPION),
)
"""By recency from the worst fifth to the best, then by the mean of frequency and money, rounded up."""


def segment(rfm: Rfm) -> Segment:
    """Return the segment of someone in these fifths."""
    return _SEGMENTS[rfm.recency - 1][(rfm.frequency + rfm.money + 1) // 2 - 1]


def tier(summary: Summary | None, horizon: Horizon, population: PopulationRule) -> Tier:
    """Return the tier of someone with these purchases; None for one who has bought nothing."""
    if summary is None:
        return Tier.PROSPECT
    silent = summary.tenure_days - summary.recency_days
    if silent > population.active_days:
        return Tier.LAPSED
    if silent > horizon.days:
        return Tier.SLIPPING
    if summary.frequency == 0:
        return Tier.NEW
    return Tier.LOYAL if summary.frequency + 1 >= _LOYAL_PURCHASES else Tier.ACTIVE
