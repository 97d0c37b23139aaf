"""What a customer is expected to spend: by buying rhythm, by trees, or by the mean of both; with an interval.

The interval is split conformal: the share of customers of held-out windows whose spend lay within it is what is said,
whatever the model; an error grows with the expected spend, so it is measured as a ratio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import expm1
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Value:
    """What a customer is expected to spend within some days, in minor units."""

    mean: float
    low: float
    high: float
    days: int


@dataclass(frozen=True, slots=True)
class ValueModel:
    """How the expected spend is put together.

    Attributes:
        days: Days ahead.
        rhythm: Weight of BG/NBD times Gamma-Gamma.
        trees: Weight of the chance to spend times the spend if any.
        scale: What the sum is multiplied by, so that the total is right.
        smear: What the exponential of the mean logarithm of a spend is multiplied by to be its mean.
        offset: Minor units added to both sides before a ratio is taken, so that no spend is no division by zero.
        low: Ratio of spend to its expectation that so many lie below.
        high: Ratio that as many lie above.
    """

    days: int
    rhythm: float
    trees: float
    scale: float
    smear: float
    offset: float
    low: float
    high: float

    def of(self, rhythm: float, chance: float, log_spend: float) -> Value:
        """Return the value.

        Args:
            rhythm: Expected spend by buying rhythm.
            chance: Chance to spend anything, by the trees.
            log_spend: Mean logarithm of one plus the spend, if any, by the trees.
        """
        trees = chance * max(0.0, expm1(min(log_spend, 40.0))) * self.smear if self.trees else 0.0
        mean = max(0.0, self.scale * (self.rhythm * rhythm + self.trees * trees))
        low = (mean + self.offset) * self.low - self.offset
        high = (mean + self.offset) * self.high - self.offset
        return Value(mean, min(mean, max(0.0, low)), max(mean, high), self.days)

    def as_json(self) -> dict[str, Any]:
        """Return what `of_json` reads."""
        return asdict(self)

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the model that was written."""
        return cls(**told)
