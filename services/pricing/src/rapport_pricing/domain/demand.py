"""What is believed of a product's demand: falling curves of several families, weighed by what was seen.

A shape says how the log-odds of a purchase move along a grid of prices around an anchor; the level of each shape is
fitted (Laplace), and its evidence weighs it against the others. Two-humped shapes stand beside plain ones from the
start, so a second hump is never out of the question, and prices that were never shown are judged by the shapes that
still stand.

What is learned comes from integer counts alone, summed cell by cell, so the order, repetition and lateness of
outcomes cannot be seen in it: the same counts give the same posterior, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

STEP: Final = 0.024
"""Distance of two cells of the grid in the logarithm of the price: two cells stay below 5 %."""

_LOWEST: Final = 0.5
_HIGHEST: Final = 1.9
_USUAL_SLOPE: Final = 2.7
_SLOPE_SPREAD: Final = 0.7
_NEWTON_STEPS: Final = 4
_STEP_BOUND: Final = 1.5
_FAR: Final = 30.0


@dataclass(frozen=True, slots=True)
class Shapes:
    """Curves that demand may have, on one grid of prices.

    Attributes:
        ratios: Price over anchor of each cell, rising.
        log_odds: One row a shape, one column a cell; only differences along a row mean something.
        prior: Weight of each shape before anything is seen; sums to 1.
        anchor: The cell of ratio 1.
        slopes: Of the logit curves, which come first: fall of the log-odds over one anchor, evenly spaced in logarithm.
        free: Log-odds of each shape at no price.
    """

    ratios: Floats
    log_odds: Floats
    prior: Floats
    anchor: int
    slopes: Floats
    free: Floats


@dataclass(frozen=True, slots=True)
class Level:
    """What is expected of the log-odds of a purchase before anything is seen.

    Attributes:
        mean: The most likely.
        deviation: How far from it.
        free: Whether that is about no price; else it is about the anchor.
    """

    mean: float = -1.5
    deviation: float = 2.0
    free: bool = False


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed after outcomes.

    Attributes:
        weights: Of each shape; they sum to 1.
        levels: Of each shape, fitted.
        variances: Of each level.
    """

    weights: Floats
    levels: Floats
    variances: Floats

    def chances(self, shapes: Shapes) -> Floats:
        """Return the chance of a purchase for each shape and cell."""
        return _logistic(self.levels[:, None] + shapes.log_odds)


@cache
def shipped_shapes(two_humped: float = 0.1, linear: float = 0.15) -> Shapes:
    """Return the families of this release.

    Args:
        two_humped: Prior weight of shapes with two humps of valuations.
        linear: Prior weight of straight lines; the rest is logit curves.
    """
    cells = int(math.log(_HIGHEST / _LOWEST) / STEP) + 1
    anchor = round(-math.log(_LOWEST) / STEP)
    ratios = np.exp(STEP * (np.arange(cells) - anchor))
    priced = np.concatenate(([0.0], ratios))
    slopes = np.geomspace(0.6, 14, 28)
    families = [
        (1 - two_humped - linear, [-slope * priced for slope in slopes]),
        (
            linear,
            [
                _log_odds(np.clip(at_zero * (1 - priced / top), 1e-4, None))
                for top in np.geomspace(1.15, 4, 12)
                for at_zero in (0.3, 0.9)
            ],
        ),
        (
            two_humped,
            [
                _log_odds(
                    np.clip(share * _hump(priced, low, width) + (1 - share) * _hump(priced, high, width), 1e-3, 0.99)
                )
                for low in np.geomspace(0.5, 1.35, 10)
                for high in low * np.array([1.3, 1.5, 1.75, 2.0])
                for share in (0.35, 0.55, 0.75)
                for width in (0.1, 0.2)
                if high <= _HIGHEST
            ],
        ),
    ]
    rows = np.array([row for _, family in families for row in family])
    weights = np.array([weight / len(family) for weight, family in families for _ in family])
    usual = np.exp(-0.5 * (np.log(slopes / _USUAL_SLOPE) / _SLOPE_SPREAD) ** 2)
    weights[: len(slopes)] *= usual * len(slopes) / usual.sum()
    return Shapes(ratios, np.ascontiguousarray(rows[:, 1:]), weights, anchor, slopes, rows[:, 0])


def fit(shapes: Shapes, prior: Floats, level: Level, shown: Counts, sold: Counts) -> Posterior:
    """Return what is believed after outcomes.

    Args:
        shapes: Curves that demand may have.
        prior: Weight of each: the shipped one, or one learned from other products.
        level: What is expected of the level.
        shown: Visits of each cell at which the product could be bought; sold-out visits are not among them.
        sold: Purchases of each cell.
    """
    cells = np.flatnonzero(shown)
    expected = level.mean - (shapes.free if level.free else shapes.log_odds[:, shapes.anchor])
    precision = level.deviation**-2.0
    if not len(cells):
        return Posterior(prior, expected, np.full(len(prior), 1 / precision))
    rows = shapes.log_odds[:, cells]
    visits, bought = shown[cells].astype(np.float64), sold[cells].astype(np.float64)
    total, purchases = visits.sum(), bought.sum()
    rate = (purchases + 0.5) / (total + 1)
    levels = math.log(rate / (1 - rate)) - rows @ visits / total
    curvature = np.empty(len(prior))
    for _ in range(_NEWTON_STEPS):
        chances = _logistic(levels[:, None] + rows)
        weighed = visits * chances
        slope = purchases - weighed.sum(axis=1) - precision * (levels - expected)
        curvature = (weighed * (1 - chances)).sum(axis=1) + precision
        levels = levels + np.clip(slope / curvature, -_STEP_BOUND, _STEP_BOUND)
    odds = np.clip(levels[:, None] + rows, -_FAR, _FAR)
    evidence = odds @ bought - np.logaddexp(0.0, odds) @ visits
    evidence = evidence - 0.5 * precision * (levels - expected) ** 2 - 0.5 * np.log(curvature)
    weights: Floats = prior * np.exp(evidence - evidence.max())
    return Posterior(weights / weights.sum(), levels, 1 / curvature)


def _logistic(odds: Floats) -> Floats:
    bounded: Floats = 1 / (1 + np.exp(-np.clip(odds, -_FAR, _FAR)))
    return bounded


def _log_odds(chance: Floats) -> Floats:
    odds: Floats = np.log(chance / (1 - chance))
    return odds


def _hump(ratios: Floats, middle: float, width: float) -> Floats:
    """Return who still buys of visitors whose valuations lie about a price."""
    return _logistic((middle - ratios) / (0.6 * width * middle))
