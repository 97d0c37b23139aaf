"""Policies that others use, plainly written, to compare with: they learn, and know no guardrail.

All but the last see ten prices and earn the margin of those that sell. None may be used to set a price.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Final, Protocol

import numpy as np

from rapport_pricing.domain.surfaces import lambert_w
from rapport_pricing.simulator.demand import Floats
from rapport_pricing.simulator.scenarios import World

_PRICES: Final = 10


class Fixed:
    """Keeps the price the seller started from."""

    def __init__(self, world: World, seed: int) -> None:
        del seed
        self._price = world.incumbent

    def price(self, covariates: Floats) -> int:
        """Return the price of the next visit."""
        del covariates
        return self._price

    def learn(self, price: int, bought: bool, covariates: Floats) -> None:
        """Hear how a visit ended."""


class _Ladder(ABC):
    """Ten prices, evenly spread over what may be tried, with what each sold."""

    def __init__(self, world: World, seed: int) -> None:
        self.prices: Final = np.linspace(world.lowest, world.highest, _PRICES).round()
        self.margins: Final = self.prices - world.cost
        self.shown = np.zeros(_PRICES)
        self.sold = np.zeros(_PRICES)
        self.draw: Final = np.random.default_rng(seed + 1_000_003)
        self.at = 0

    def price(self, covariates: Floats) -> int:
        """Return the price of the next visit."""
        del covariates
        unseen = np.flatnonzero(self.shown == 0)
        self.at = int(unseen[0]) if len(unseen) else self.choose()
        return int(self.prices[self.at])

    def learn(self, price: int, bought: bool, covariates: Floats) -> None:
        """Hear how a visit ended."""
        del price, covariates
        self.shown[self.at] += 1
        self.sold[self.at] += bought

    @abstractmethod
    def choose(self) -> int:
        """Return which price is next, once each was tried."""


class EpsilonDecay(_Ladder):
    """The best price so far; with a chance of 50 over the number of visits any other."""

    def choose(self) -> int:
        """Return which price is next."""
        if self.draw.random() < min(1.0, 50 / (1 + self.shown.sum())):
            return int(self.draw.integers(_PRICES))
        return int(np.argmax(self.margins * self.sold / self.shown))


class UcbPi(_Ladder):
    """Upper bounds scaled by the price, tightened because demand falls, and without prices that are dominated."""

    def choose(self) -> int:
        """Return which price is next."""
        rate = self.sold / self.shown
        log = math.log(self.shown.sum())
        spread = np.minimum(0.25, rate * (1 - rate) + np.sqrt(2 * log / self.shown))
        width = np.sqrt(log / self.shown * spread)
        upper = np.minimum.accumulate(np.minimum(rate + width, 1.0))
        lower = np.maximum.accumulate(np.maximum(rate - width, 0.0)[::-1])[::-1]
        alive = self.margins * upper >= np.max(self.margins * lower)
        return int(np.argmax(np.where(alive, self.margins * upper, -np.inf)))


class ThompsonBeta(_Ladder):
    """A chance drawn for each price from its own posterior."""

    def choose(self) -> int:
        """Return which price is next."""
        return int(np.argmax(self.margins * self.draw.beta(1 + self.sold, 1 + self.shown - self.sold)))


class LogitThompson:
    """A logit curve drawn at each visit from an online Laplace approximation; the price in closed form."""

    def __init__(self, world: World, seed: int) -> None:
        self._draw = np.random.default_rng(seed + 1_000_003)
        self._unit = float(world.incumbent)
        self._cost = world.cost / self._unit
        self._bounds = (world.lowest, world.highest)
        self._contextual = world.scenario == 5
        width = 8 if self._contextual else 2
        self._mean = np.zeros(width)
        self._mean[:2] = (0.0, 2.0)
        deviations = np.full(width, 0.5)
        deviations[:2] = (2.0, 1.5)
        self._inverse = np.diag(deviations**-2.0)

    def price(self, covariates: Floats) -> int:
        """Return the price of the next visit."""
        lower = np.linalg.cholesky(self._inverse)
        theta = self._mean + np.linalg.solve(lower.T, self._draw.standard_normal(len(self._mean)))
        level, slope = theta[0], theta[1]
        if self._contextual:
            level += covariates @ theta[2:5]
            slope += covariates @ theta[5:8]
        slope = max(float(slope), 0.2)
        best = self._cost + (1 + lambert_w(math.exp(min(level + slope - 1 - slope * self._cost, 600.0)))) / slope
        return round(min(max(best * self._unit, self._bounds[0]), self._bounds[1]))

    def learn(self, price: int, bought: bool, covariates: Floats) -> None:
        """Hear how a visit ended."""
        ratio = price / self._unit - 1
        row = np.array([1.0, -ratio])
        if self._contextual:
            row = np.concatenate((row, covariates, -ratio * covariates))
        chance = 1 / (1 + math.exp(-max(min(float(row @ self._mean), 30.0), -30.0)))
        self._inverse = self._inverse + chance * (1 - chance) * np.outer(row, row)
        self._mean = self._mean + np.linalg.solve(self._inverse, row) * (bought - chance)


class MakesPolicy(Protocol):
    """Makes a policy for a world; the seed is for its own draws."""

    def __call__(self, world: World, seed: int, /) -> Fixed | _Ladder | LogitThompson:
        """Return a policy that has learned nothing."""
        ...


BASELINES: Final[dict[str, MakesPolicy]] = {
    "fixed incumbent": Fixed,
    "epsilon ~ 50/t": EpsilonDecay,
    "UCB-PI": UcbPi,
    "Thompson Beta": ThompsonBeta,
    "logit Thompson": LogitThompson,
}
"""By name."""
