"""Whether chances mean what they say, and what mends them.

A calibrator is affine in the log-odds, so that reasons in log-odds still sum to the score after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS: Final = 15
_LEAST: Final = 1e-12
_SETTLED: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Calibrator:
    """slope * log-odds + intercept; the slope is above zero, so that nobody changes place."""

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 < self.slope < float("inf") and abs(self.intercept) < float("inf")):
            raise ValueError("a calibrator rises and is finite")

    def __call__(self, log_odds: float) -> float:
        """Return the calibrated log-odds."""
        return self.slope * log_odds + self.intercept


NONE: Final = Calibrator()


def chances(log_odds: Floats) -> Floats:
    """Return the chances of log-odds."""
    grown = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, grown) / (1.0 + grown)


def log_loss(labels: Floats, log_odds: Floats) -> float:
    """Return the mean log-loss; lower is better."""
    return float(np.mean(np.logaddexp(0.0, log_odds) - labels * log_odds))


def brier(labels: Floats, chance: Floats) -> float:
    """Return the mean squared error of chances."""
    return float(np.mean((chance - labels) ** 2))


def area(labels: Floats, scores: Floats) -> float:
    """Return the area under the receiver's curve: how often a leaver scores above a stayer; ties count half.

    Raises:
        ValueError: All labels are alike.
    """
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2.0)[place]
    positive = labels > 0.5
    up, down = int(positive.sum()), int((~positive).sum())
    if not up or not down:
        raise ValueError("the area needs both labels")
    return float((rank[positive].sum() - up * (up + 1) / 2.0) / (up * down))


def calibration_error(labels: Floats, chance: Floats, bins: int = BINS) -> float:
    """Return the expected calibration error over bins of equally many rows."""
    return _Bins(chance, bins).error(labels)


def noise_floor(chance: Floats, *, seed: int, draws: int = 50, bins: int = BINS) -> float:
    """Return the calibration error that chances show on average when they are exactly right, by chance alone.

    An error is only worth as much as it lies above this.

    Args:
        chance: The chances.
        seed: Of the labels drawn from them.
        draws: How many times labels are drawn.
        bins: Bins of equally many rows.
    """
    draw, binned = np.random.default_rng(seed), _Bins(chance, bins)
    return float(np.mean([binned.error((draw.random(len(chance)) < chance).astype(np.float64)) for _ in range(draws)]))


class _Bins:
    """Rows in order of their chances, cut into bins of equally many, or nearly so."""

    def __init__(self, chance: Floats, bins: int) -> None:
        self._order = np.argsort(chance, kind="stable")
        rows, count = len(chance), min(bins, len(chance))
        self._begins = np.arange(count) * (rows // count) + np.minimum(np.arange(count), rows % count)
        self._sums = np.add.reduceat(chance[self._order], self._begins)

    def error(self, labels: Floats) -> float:
        """Return how far the shares of labels are from the mean chances, by rows."""
        sums = np.add.reduceat(labels[self._order], self._begins)
        return float(np.abs(sums - self._sums).sum() / len(self._order))


def intercept_for(labels: Floats, log_odds: Floats) -> float:
    """Return what must be added to log-odds for their mean chance to be the mean label."""
    wanted = float(np.clip(np.mean(labels), _LEAST, 1.0 - _LEAST))
    low, high, tried = -30.0, 30.0, 0.0
    for _ in range(60):
        chance = chances(log_odds + tried)
        missing = wanted - float(np.mean(chance))
        low, high = (tried, high) if missing > 0.0 else (low, tried)
        steepness = float(np.mean(chance * (1.0 - chance)))
        newton = tried + missing / steepness if steepness > 0.0 else low
        # Where the curve is flat Newton's step leads astray.
        following = newton if low < newton < high else (low + high) / 2.0
        if abs(following - tried) <= _SETTLED:
            return following
        tried = following
    return tried
