"""What is chosen by looking back: whose voice counts how much, and how well that told what came.

A model is judged at origins: instants of the past at which only windows that were closed then could train it. Of a
plain table, which knows no time, folds of people take the place of origins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.calibration import (
    area,
    calibration_error,
    chances,
    intercept_for,
    log_loss,
    noise_floor,
)
from rapport_churn.domain.calibration import brier as squared_error
from rapport_churn.domain.facts import DAY
from rapport_churn.domain.labels import Horizon
from rapport_churn.domain.stack import Member
from rapport_churn.training.frame import Frame

Floats = NDArray[np.float64]

_STEPS: Final = 10
_TOWARDS_EQUAL: Final = 0.001
_FEWEST_ROWS: Final = 100


@dataclass(frozen=True)
class Told:
    """What the members said at an origin, and what came.

    Attributes:
        origin: When, in microseconds; or the number of the fold.
        labels: Who left.
        log_odds: Of each member.
    """

    origin: int
    labels: Floats
    log_odds: Mapping[Member, Floats]

    def summed(self, weights: Mapping[Member, float]) -> Floats:
        """Return the weighted sum."""
        total = np.zeros(len(self.labels))
        for member, weight in weights.items():
            total += weight * self.log_odds[member]
        return total


def trainable(frame: Frame, origin: int, horizon: Horizon) -> NDArray[np.bool_]:
    """Return which rows could train at an instant: those whose windows were closed."""
    return frame.cutoffs + (horizon.days + horizon.lateness_days) * DAY <= origin


def origins(frame: Frame, horizon: Horizon, most: int) -> list[int]:
    """Return cutoffs at which the past can be replayed, ascending and evenly apart, the latest always.

    At each there are enough rows of both kinds to train, and enough of both to judge.
    """
    usable = []
    for cutoff in np.unique(frame.cutoffs):
        before, at = frame.churned[trainable(frame, int(cutoff), horizon)], frame.churned[frame.cutoffs == cutoff]
        if min(len(before), len(at)) >= _FEWEST_ROWS and 0 < before.mean() < 1 and 0 < at.mean() < 1:
            usable.append(int(cutoff))
    if len(usable) <= most:
        return usable
    return [usable[round(at)] for at in np.linspace(0, len(usable) - 1, most)]


def weigh(told: Sequence[Told], members: Sequence[Member]) -> dict[Member, float]:
    """Return the weights under which the members told best at all origins.

    Judged is the log-loss after the best shift of each origin: how high the tide of a season was says nothing of who
    tells people apart. A few origins say little, so the weights are drawn towards equal ones.
    """
    best, found = np.inf, dict.fromkeys(members, 1.0 / len(members))
    for steps in _simplex(len(members)):
        weights = dict(zip(members, (step / _STEPS for step in steps), strict=True))
        uneven = sum((weight - 1.0 / len(members)) ** 2 for weight in weights.values())
        loss = float(np.mean([shape_loss(each.labels, each.summed(weights)) for each in told]))
        loss += _TOWARDS_EQUAL * uneven
        if loss < best - 1e-12:
            best, found = loss, weights
    return {member: weight for member, weight in found.items() if weight}


def _simplex(size: int) -> Iterator[tuple[int, ...]]:
    return (steps for steps in product(range(_STEPS + 1), repeat=size) if sum(steps) == _STEPS)


def shape_loss(labels: Floats, log_odds: Floats) -> float:
    """Return the log-loss after the best shift."""
    return log_loss(labels, log_odds + intercept_for(labels, log_odds))


@dataclass(frozen=True, slots=True)
class Figures:
    """How well chances told what came.

    Attributes:
        rows: People judged.
        rate: Share who left.
        area: Area under the receiver's curve.
        log_loss: Mean log-loss.
        brier: Mean squared error.
        calibration_error: Over fifteen bins of equally many people.
        noise_floor: What that error would be by chance alone.
        lift: Leavers among the tenth most at risk, over the share of all.
    """

    rows: int
    rate: float
    area: float
    log_loss: float
    brier: float
    calibration_error: float
    noise_floor: float
    lift: float


def judge(labels: Floats, log_odds: Floats, *, seed: int = 1) -> Figures:
    """Return the figures of some log-odds."""
    chance = chances(log_odds)
    top = np.argsort(-log_odds, kind="stable")[: max(1, len(labels) // 10)]
    rate = float(labels.mean())
    return Figures(
        rows=len(labels),
        rate=rate,
        area=area(labels, log_odds) if 0.0 < rate < 1.0 else 0.5,
        log_loss=log_loss(labels, log_odds),
        brier=squared_error(labels, chance),
        calibration_error=calibration_error(labels, chance),
        noise_floor=noise_floor(chance, seed=seed),
        lift=float(labels[top].mean()) / rate if rate else 0.0,
    )
