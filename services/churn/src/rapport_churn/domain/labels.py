"""What leaving means where nobody signs a contract: a horizon and a population, taken from how people buy.

The gaps between days with a purchase say how long people stay away who come back. A customer who has not bought for the
horizon has outlasted most of such gaps; one who has not bought for much longer is no customer any more, and no model
speaks of them. Gaps that are still open count too (Kaplan and Meier 1958): else young data would make all gaps short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from rapport_churn.domain.facts import DAY
from rapport_churn.domain.features import Summary

BACK_WITHIN_HORIZON: Final = 0.7
BACK_WITHIN_POPULATION: Final = 0.95
_FEWEST_GAPS: Final = 50
_HORIZON_STEP: Final = 30
_LONGEST_HORIZON: Final = 180
_POPULATIONS: Final = (90, 180, 365, 730)
_LATE_SHARE: Final = 0.99
_LONGEST_LATENESS: Final = 30


class TooFewGapsError(ValueError):
    """Too few people have bought twice to say how long they stay away."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far labels look ahead.

    Attributes:
        days: Who does not buy for so long after a cutoff has left.
        value_days: Spend is counted for so long after a cutoff.
        lateness_days: What happened is known after so long, all but a hundredth of it.
    """

    days: int
    value_days: int
    lateness_days: int = 1

    def closes_at(self, cutoff: int) -> int:
        """Return when it is known who has left after a cutoff."""
        return cutoff + (self.days + self.lateness_days) * DAY

    def is_closed(self, cutoff: int, now: int) -> bool:
        """Whether a cutoff may train: its window has ended, and what happened in it has arrived."""
        return self.closes_at(cutoff) <= now

    def value_is_closed(self, cutoff: int, now: int) -> bool:
        """Whether the window of the spend after a cutoff has ended, and what happened in it has arrived."""
        return cutoff + (self.value_days + self.lateness_days) * DAY <= now


@dataclass(frozen=True, slots=True)
class PopulationRule:
    """Of whom a model speaks: those with a purchase within so many days, and on so many days in all."""

    active_days: int
    order_days: int = 1

    def admits(self, summary: Summary | None) -> bool:
        """Whether someone with these purchases belongs to it; without any, nobody does."""
        if summary is None:
            return False
        silent = summary.tenure_days - summary.recency_days
        return silent <= self.active_days and summary.frequency + 1 >= self.order_days


@dataclass(frozen=True, slots=True)
class Gaps:
    """How often people stayed away for so many days: until they bought again, and until now."""

    closed: Mapping[int, int]
    still_open: Mapping[int, int]

    def back_within(self, share: float) -> int:
        """Return the days within which that share of those who ever come back are back.

        Raises:
            TooFewGapsError: There is too little to say it.
        """
        if sum(self.closed.values()) < _FEWEST_GAPS:
            raise TooFewGapsError(f"fewer than {_FEWEST_GAPS} customers have bought on another day")
        away, at_risk = 1.0, sum(self.closed.values()) + sum(self.still_open.values())
        curve: list[tuple[int, float]] = []
        for day in sorted({*self.closed, *self.still_open}):
            back = self.closed.get(day, 0)
            away *= 1 - back / at_risk
            at_risk -= back + self.still_open.get(day, 0)
            curve.append((day, 1 - away))
        return next(day for day, back in curve if back >= share * curve[-1][1])


def derive(gaps: Gaps, delays: Mapping[int, int]) -> tuple[Horizon, PopulationRule]:
    """Derive the horizon and the population from the gaps, and from how many facts arrived so many days late.

    Raises:
        TooFewGapsError: Too few people have bought twice.
    """
    steps = ceil(gaps.back_within(BACK_WITHIN_HORIZON) / _HORIZON_STEP)
    days = min(max(steps * _HORIZON_STEP, _HORIZON_STEP), _LONGEST_HORIZON)
    active = gaps.back_within(BACK_WITHIN_POPULATION)
    population = next((each for each in _POPULATIONS if each >= active and each > days), _POPULATIONS[-1])
    return Horizon(days, 2 * days, _lateness(delays)), PopulationRule(population)


def _lateness(delays: Mapping[int, int]) -> int:
    total, seen = sum(delays.values()), 0
    for day in sorted(delays):
        seen += delays[day]
        if seen >= _LATE_SHARE * total:
            return min(max(day + 1, 1), _LONGEST_LATENESS)
    return 1


def closed_cutoffs(since: int, now: int, horizon: Horizon, every_days: int) -> list[int]:
    """Return the cutoffs that may train, in ascending order: whole steps back from the last, not before `since`."""
    last = now - (horizon.days + horizon.lateness_days) * DAY
    return list(range(last, since - 1, -every_days * DAY))[::-1]
