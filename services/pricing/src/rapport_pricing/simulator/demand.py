"""Curves of demand: the chance that a visitor buys at a price. Prices are in minor units, as everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from rapport_pricing.domain.surfaces import lambert_w

Floats = npt.NDArray[np.float64]

_GRID: Final = 4001


class Demand(Protocol):
    """A curve of demand, falling in the price."""

    def chance(self, price: float) -> float:
        """Return the chance that a visitor buys at a price."""
        ...


@dataclass(frozen=True, slots=True)
class Logit:
    """Log-odds that fall by the same amount with each unit of price.

    Attributes:
        level: Log-odds at price 0.
        slope: Fall of the log-odds per minor unit.
    """

    level: float
    slope: float

    def chance(self, price: float) -> float:
        """Return the chance that a visitor buys at a price."""
        return 1 / (1 + math.exp(min(self.slope * price - self.level, 500.0)))

    @classmethod
    def with_best(cls, price: float, cost: float, chance: float) -> Logit:
        """Return the curve whose contribution is highest at a price that sells with a chance."""
        slope = 1 / ((price - cost) * (1 - chance))
        return cls(slope * price + math.log(chance / (1 - chance)), slope)

    def moved_to(self, price: float, cost: float) -> Logit:
        """Return the curve of the same level whose contribution is highest at another price: valuations moved."""
        low, high = 1e-6, 1.0
        for _ in range(100):
            slope = (low + high) / 2
            below = best_price(Logit(self.level, slope), cost, cost, 40_000)[0] > price
            low, high = (slope, high) if below else (low, slope)
        return Logit(self.level, low)


@dataclass(frozen=True, slots=True)
class Linear:
    """A chance that falls in a straight line to nothing at the top price."""

    top: float
    at_zero: float

    def chance(self, price: float) -> float:
        """Return the chance that a visitor buys at a price."""
        return self.at_zero * min(max(1 - price / self.top, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class TwoHumps:
    """Visitors of two kinds, each valuing the product about its own price: contribution may have two tops."""

    share: float
    low: float
    low_spread: float
    high: float
    high_spread: float

    def chance(self, price: float) -> float:
        """Return the chance that a visitor buys at a price."""
        one = 0.5 * math.erfc((price - self.low) / (self.low_spread * math.sqrt(2)))
        other = 0.5 * math.erfc((price - self.high) / (self.high_spread * math.sqrt(2)))
        return self.share * one + (1 - self.share) * other


def best_price(demand: Demand, cost: float, low: float, high: float) -> tuple[float, float]:
    """Return the price of highest contribution in a range, and that contribution a visit: what a clairvoyant earns."""
    if isinstance(demand, Logit):
        inside = min(max(cost + _logit_margin(demand, cost), low), high)
        return inside, (inside - cost) * demand.chance(inside)
    prices = np.linspace(low, high, _GRID)
    earned = [(price - cost) * demand.chance(price) for price in prices]
    at = int(np.argmax(earned))
    return float(prices[at]), earned[at]


def _logit_margin(demand: Logit, cost: float) -> float:
    return (1 + lambert_w(math.exp(min(demand.level - 1 - demand.slope * cost, 600.0)))) / demand.slope
