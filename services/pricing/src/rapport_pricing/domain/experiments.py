"""Experiments on prices: who gets which arm, with which chance, and what may be concluded at any time.

An arm is assigned to an account, or to a market for a stretch of time (switchback), never to a visit: one person sees
one price. Intervals are valid at every look (mixture of likelihood ratios), so that looking early costs nothing.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.money import allocate as money_allocate

BUCKETS: Final = 10_000
_DRAWS: Final = 2000
_LEAST: Final = 20


class Unit(Enum):
    """What an arm is assigned to."""

    ACCOUNT = "account"
    SWITCHBACK = "switchback"


@dataclass(frozen=True, slots=True)
class Experiment:
    """An authored experiment.

    Attributes:
        experiment_id: Of it; also the salt of its assignment.
        unit: What an arm is assigned to.
        shares: Arm -> share in ten-thousandths; they sum to 10,000.
        period_us: Length of a stretch of a switchback.

    Raises:
        RapportError: EXPERIMENT_INVALID.
    """

    experiment_id: str
    unit: Unit
    shares: Mapping[str, int]
    period_us: int = 0

    def __post_init__(self) -> None:
        if sum(self.shares.values()) != BUCKETS or min(self.shares.values(), default=0) < 0:
            raise ERRORS.error("EXPERIMENT_INVALID", "shares of arms sum to 10,000", field="shares")
        if (self.unit is Unit.SWITCHBACK) != (self.period_us > 0):
            raise ERRORS.error("EXPERIMENT_INVALID", "a switchback, and only it, has a period", field="period")


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which arm, and the chance with which it was drawn: to be logged with the exposure."""

    arm: str
    propensity: float


def assign(experiment: Experiment, unit_id: str, at_us: int = 0) -> Assignment:
    """Return the arm of a unit: the same for ever, whoever asks.

    Args:
        experiment: The experiment.
        unit_id: The account; for a switchback the market.
        at_us: When; looked at for a switchback only.
    """
    key = unit_id if experiment.unit is Unit.ACCOUNT else f"{unit_id}:{at_us // experiment.period_us}"
    digest = hashlib.sha256(f"{experiment.experiment_id}:{key}".encode()).digest()
    bucket = int.from_bytes(digest[:8]) % BUCKETS
    for arm in sorted(experiment.shares):
        bucket -= experiment.shares[arm]
        if bucket < 0:
            return Assignment(arm, experiment.shares[arm] / BUCKETS)
    raise AssertionError("shares sum to the number of buckets")


@dataclass(frozen=True, slots=True)
class Arm:
    """Sums of an arm, by cluster: accounts or stretches, not visits.

    Attributes:
        units: How many.
        total: Sum of what each earned.
        squares: Sum of its squares.
    """

    units: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """What a unit earned."""
        return self.total / self.units if self.units else 0.0

    @property
    def variance(self) -> float:
        """Of what a unit earned."""
        return max(self.squares - self.total**2 / self.units, 0.0) / (self.units - 1)


@dataclass(frozen=True, slots=True)
class Lift:
    """The difference of two arms, with an interval that holds at every look at once."""

    difference: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether the interval leaves zero out."""
        return not self.low <= 0 <= self.high


def lift(control: Arm, treated: Arm, *, alpha: float = 0.05, planned_units: int = 10_000) -> Lift | None:
    """Return the lift of an arm over the control; None with too few units in either to know how much they vary.

    Args:
        control: Sums of the control.
        treated: Sums of the arm.
        alpha: Chance that the interval ever leaves the truth out.
        planned_units: Where the interval is to be narrowest; it holds anyway.
    """
    if control.units < _LEAST or treated.units < _LEAST:
        return None
    variance = control.variance / control.units + treated.variance / treated.units
    units = control.units + treated.units
    per_unit = variance * units
    # Normal mixture of Robbins: the boundary is tuned by rho to the planned number of units.
    rho = (2 * math.log(1 / alpha) + math.log(1 + 2 * math.log(1 / alpha))) / planned_units
    width = math.sqrt(per_unit * (units * rho + 1) / (units**2 * rho) * math.log((units * rho + 1) / alpha**2))
    difference = treated.mean - control.mean
    return Lift(difference, difference - width, difference + width)


def allocate(experiment: Experiment, arms: Mapping[str, Arm], *, turn: int, floor: int = 500) -> Mapping[str, int]:
    """Return the shares by which a bandit gives out arms: how often each is the best, by what is believed of it.

    The same arguments give the same shares: what is drawn is drawn from the experiment's name and the turn.

    Args:
        experiment: Whose shares hold while an arm has fewer than two units.
        arms: Sums of each.
        turn: Which allocation it is.
        floor: Least share of an arm: without a chance nothing more is learned of it.
    """
    if min(each.units for each in arms.values()) < 2:
        return experiment.shares
    names = sorted(arms)
    seed = hashlib.sha256(f"{experiment.experiment_id}:{turn}".encode()).digest()
    draw = random.Random(seed)  # noqa: S311 - chance that can be replayed, not a secret
    wins = dict.fromkeys(names, 0)
    for _ in range(_DRAWS):
        drawn = {name: draw.gauss(arms[name].mean, math.sqrt(arms[name].variance / arms[name].units)) for name in names}
        wins[max(names, key=drawn.__getitem__)] += 1
    free = BUCKETS - floor * len(names)
    shares = dict(zip(names, money_allocate(free, [wins[name] for name in names]), strict=True))
    return {name: share + floor for name, share in shares.items()}


@dataclass(frozen=True, slots=True)
class Logged:
    """One exposure as logged: its propensity, whether another rule would choose the same, what it earned."""

    propensity: float
    agrees: float
    earned: float


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """What another rule would have earned, judged from the log.

    Attributes:
        value: Earned per exposure (self-normalised).
        effective: How many exposures this rests on.
        largest_weight: The largest of the clipped weights; near the clip means little is known.
    """

    value: float
    effective: float
    largest_weight: float


def replay_logged(log: Sequence[Logged], *, clip: float = 20.0) -> OffPolicy | None:
    """Judge another rule from logged propensities; None if it never agrees with the log.

    Args:
        log: Exposures.
        clip: Bound of a weight.
    """
    weights = [min(each.agrees / each.propensity, clip) for each in log]
    total = math.fsum(weights)
    if total == 0:
        return None
    value = math.fsum(weight * each.earned for weight, each in zip(weights, log, strict=True)) / total
    return OffPolicy(value, total**2 / math.fsum(weight**2 for weight in weights), max(weights))
