"""Sees that demand has shifted: sales that the belief of their time did not expect, however the price moved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Residual:
    """What one price version sold against what was expected of it when it was published.

    Attributes:
        shown: Visits at which it could be bought.
        sold: Purchases.
        expected: Chance of a purchase, as believed then.
        variance: Of that chance, as believed then.
    """

    shown: int
    sold: int
    expected: float
    variance: float


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """When a surprise is a shift.

    Attributes:
        window: Visits that are judged together.
        threshold: Standard deviations beyond which it is a shift.
    """

    window: int = 250
    threshold: float = 4.0


def shifted(residuals: Sequence[Residual], settings: DetectorSettings) -> bool:
    """Return whether the latest window sold too much or too little to be chance.

    Args:
        residuals: Versions since the last shift, in order.
        settings: When a surprise is a shift.
    """
    surprise, chance, unsure, visits = 0.0, 0.0, 0.0, 0
    for each in reversed(residuals):
        surprise += each.sold - each.shown * each.expected
        chance += each.shown * each.expected * (1 - each.expected)
        unsure += each.shown * math.sqrt(each.variance)  # versions that were decided from the same news err together
        visits += each.shown
        if visits >= settings.window:
            return abs(surprise) > settings.threshold * math.sqrt(chance + unsure**2)
    return False
