"""Elasticity of demand from history: without its interval, and what identifies it, it drives no price."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
import numpy.typing as npt

from rapport_pricing.domain.demand import Floats
from rapport_pricing.domain.errors import ERRORS

Codes = npt.NDArray[np.int64]

LEAST_VARIATION: Final = 0.02
"""Standard deviation of the logarithm of the price, within what is held fixed, below which nothing can be said."""

_TWO_SIDED_95: Final = 1.959963984540054
_SWEEPS: Final = 400


class Variation(Enum):
    """Which movement of prices identifies the estimate; the same goods give answers apart by a factor of two."""

    POOLED = "pooled"
    WITHIN_PRODUCT = "within_product"
    WITHIN_PRODUCT_STORE_TIME = "within_product_store_time"
    RANDOMISED = "randomised"


@dataclass(frozen=True, slots=True)
class Elasticity:
    """An estimate.

    Attributes:
        value: Change of quantity in percent for one percent of price.
        error: Standard error, robust to dependence within clusters.
        low: Of the 95 % interval.
        high: Of it.
        variation: What identifies it.
        spread: Standard deviation of the logarithm of the price that was left to learn from.
        rows: How many rows.
        clusters: How many clusters.
    """

    value: float
    error: float
    low: float
    high: float
    variation: Variation
    spread: float
    rows: int
    clusters: int


def estimate(
    log_quantity: Floats,
    log_price: Floats,
    *,
    fixed: list[Codes],
    clusters: Codes,
    variation: Variation,
    controls: Floats | None = None,
) -> Elasticity:
    """Fit the logarithm of quantity on that of price, whatever is fixed taken out, by least squares.

    Args:
        log_quantity: One a row.
        log_price: One a row.
        fixed: For each effect held fixed (product, store, week) a code from 0 for each row.
        clusters: Rows of one code may depend on one another.
        variation: What the caller says identifies the estimate.
        controls: One column each: features, promotions.

    Raises:
        RapportError: PRICE_VARIES_TOO_LITTLE, once the fixed effects are out.
    """
    columns = [log_price] if controls is None else [log_price, *controls.T]
    taken = [_within(column, fixed) for column in (log_quantity, *columns)]
    outcome, regressors = taken[0], np.stack(taken[1:], axis=1)
    spread = float(np.std(regressors[:, 0]))
    if spread < LEAST_VARIATION:
        raise ERRORS.error(
            "PRICE_VARIES_TOO_LITTLE",
            f"the logarithm of the price varies by {spread:.4f}; {LEAST_VARIATION} are needed",
            metadata={"spread": f"{spread:.4f}", "needed": str(LEAST_VARIATION)},
        )
    bread = np.linalg.inv(regressors.T @ regressors)
    beta = bread @ (regressors.T @ outcome)
    scores = regressors * (outcome - regressors @ beta)[:, None]
    count = int(clusters.max()) + 1
    sums = np.stack([np.bincount(clusters, weights=scores[:, at], minlength=count) for at in range(scores.shape[1])], 1)
    meat = sums.T @ sums * count / max(count - 1, 1)
    error = math.sqrt(float((bread @ meat @ bread)[0, 0]))
    value = float(beta[0])
    half = _TWO_SIDED_95 * error
    return Elasticity(value, error, value - half, value + half, variation, spread, len(outcome), count)


def _within(values: Floats, fixed: list[Codes]) -> Floats:
    """Take fixed effects out by turns until nothing moves (the method of alternating projections)."""
    left: Floats = values - values.mean()
    sizes = [np.bincount(codes) for codes in fixed]
    for _ in range(_SWEEPS if len(fixed) > 1 else 1):
        moved = 0.0
        for codes, size in zip(fixed, sizes, strict=True):
            means = np.bincount(codes, weights=left) / np.maximum(size, 1)
            left = left - means[codes]
            moved = max(moved, float(np.abs(means).max(initial=0.0)))
        if moved < 1e-9:
            break
    return left


def censored_poisson(
    sold: Codes, log_price: Floats, sold_out: npt.NDArray[np.bool_], *, steps: int = 25
) -> tuple[float, float]:
    """Return level and elasticity of Poisson demand where periods that sold out had at least that demand.

    Reading such periods as plain sales biases the elasticity towards zero, and dropping them keeps a part of the bias.

    Args:
        sold: Pieces sold in each period.
        log_price: Of each period.
        sold_out: Whether the period ended without stock.
        steps: Bound on the number of Newton steps.
    """
    middle = float(log_price.mean())
    rows = np.stack((np.ones_like(log_price), log_price - middle), axis=1)
    theta = np.array([math.log(max(float(sold.mean()), 0.1)), -1.0])
    for _ in range(steps):
        mean = np.exp(np.clip(rows @ theta, -20, 20))
        pull = _pull(mean, sold)
        slope = np.where(sold_out, pull, sold - mean)
        curvature = np.where(sold_out, np.maximum(pull * (pull + mean - sold), 1e-9), mean)
        move = np.linalg.solve((rows * curvature[:, None]).T @ rows, rows.T @ slope)
        theta = theta + np.clip(move, -1, 1)
        if np.abs(move).max() < 1e-10:
            break
    return float(theta[0] - theta[1] * middle), float(theta[1])


def _pull(mean: Floats, least: Codes) -> Floats:
    """Return by how much the mean of a Poisson number known to be at least so much exceeds its plain mean."""
    chance = np.exp(-mean)
    below = np.zeros_like(mean)
    last = np.zeros_like(mean)
    for value in range(int(least.max(initial=0))):
        inside = value < least
        below = np.where(inside, below + chance, below)
        last = np.where(inside, chance, last)
        chance = chance * mean / (value + 1)
    pull: Floats = mean * last / np.maximum(1 - below, 1e-12)
    return pull
