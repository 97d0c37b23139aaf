"""How well a model does before anybody knows who left: what its own chances imply, if they mean what they say.

A calibrated chance is all that is needed to expect an error. How far the chances can be trusted is measured when labels
arrive, and printed beside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.calibration import area, brier, calibration_error, noise_floor

Floats = NDArray[np.float64]

_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a model on some customers.

    Attributes:
        rows: Customers.
        rate: Share who will leave.
        area: Area under the receiver's curve.
        area_low: What it exceeds in 39 of 40 draws of who leaves.
        area_high: What it stays below in as many.
        log_loss: Mean log-loss.
        brier: Mean squared error.
    """

    rows: int
    rate: float
    area: float
    area_low: float
    area_high: float
    log_loss: float
    brier: float


def expect(chance: Floats, *, seed: int, draws: int = 300) -> Expected:
    """Return what chances imply of themselves.

    Args:
        chance: Of each customer.
        seed: Of the draws of who leaves, for the interval.
        draws: How many.

    Raises:
        ValueError: There are no customers.
    """
    if not len(chance):
        raise ValueError("nobody was scored")
    kept = np.clip(chance, _LEAST, 1.0 - _LEAST)
    draw = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        labels = (draw.random(len(kept)) < kept).astype(np.float64)
        if 0.0 < labels.mean() < 1.0:
            drawn.append(area(labels, kept))
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn else (0.5, 0.5)
    return Expected(
        rows=len(kept),
        rate=float(kept.mean()),
        area=_expected_area(kept),
        area_low=float(low),
        area_high=float(high),
        log_loss=float(-np.mean(kept * np.log(kept) + (1.0 - kept) * np.log1p(-kept))),
        brier=float(np.mean(kept * (1.0 - kept))),
    )


def _expected_area(chance: Floats) -> float:
    """Return the expected share of pairs of a leaver and a stayer that are in order; ties count half."""
    values, place = np.unique(chance, return_inverse=True)
    leave, stay = np.bincount(place, chance), np.bincount(place, 1.0 - chance)
    before = np.cumsum(stay) - stay
    in_order = float(leave @ (before + stay / 2.0))
    # A pair is of two people: nobody is compared with themselves.
    alone = float(np.sum(chance * (1.0 - chance)))
    pairs = float(leave.sum() * stay.sum()) - alone
    return (in_order - alone / 2.0) / pairs if pairs > 0 and len(values) > 1 else 0.5


@dataclass(frozen=True, slots=True)
class Forward:
    """How chances held once it was known who left.

    Attributes:
        rows: Customers.
        rate: Share who left.
        expected_rate: Share that was expected.
        area: Area under the receiver's curve; one half where all did the same.
        brier: Mean squared error.
        calibration_error: Over bins of equally many customers.
        noise_floor: What that would be by chance alone.
    """

    rows: int
    rate: float
    expected_rate: float
    area: float
    brier: float
    calibration_error: float
    noise_floor: float


def hold_against(labels: Floats, chance: Floats, *, seed: int) -> Forward:
    """Return how chances held against what came."""
    rate = float(labels.mean())
    return Forward(
        rows=len(labels),
        rate=rate,
        expected_rate=float(chance.mean()),
        area=area(labels, chance) if 0.0 < rate < 1.0 else 0.5,
        brier=brier(labels, chance),
        calibration_error=calibration_error(labels, chance),
        noise_floor=noise_floor(chance, seed=seed),
    )
