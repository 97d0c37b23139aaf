"""Plays a policy in a world: what share of the clairvoyant's contribution it earned, and how it moved the price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from rapport_pricing.simulator.demand import Demand, Floats, best_price
from rapport_pricing.simulator.scenarios import HIGHEST, LOWEST, World

_WITHIN: Final = 0.95
_WINDOW: Final = 100


class Policy(Protocol):
    """Sets prices and hears what they sold."""

    def price(self, covariates: Floats) -> int:
        """Return the price of the next visit, in minor units."""
        ...

    def learn(self, price: int, bought: bool, covariates: Floats) -> None:
        """Hear how a visit ended."""
        ...


@dataclass(frozen=True, slots=True)
class Season:
    """How a policy did.

    Attributes:
        share: Expected contribution over that of a clairvoyant, who sets the best price at each visit.
        changes: Changes of the price per 1,000 visits; 0 where covariates move it, as the largest step is then.
        largest_step: Largest change of the price from one visit to the next, as a share of it.
        recovered: Visits after the last shift until a hundred in a row earned 95 % of what can be earned; -1 never.
    """

    share: float
    changes: float
    largest_step: float
    recovered: int


def play(policy: Policy, world: World) -> Season:
    """Play a season from the first visit to the last."""
    plain = world.scenario != 5
    none = np.empty(0)
    earned = np.empty(world.visits)
    could = np.empty(world.visits)
    prices = np.empty(world.visits)
    chances: dict[tuple[int, int], float] = {}
    shifts = [phase.since for phase in world.phases]
    place = -1
    demand: Demand = world.phases[0].demand
    best = 0.0
    for visit in range(world.visits):
        if place + 1 < len(shifts) and visit == shifts[place + 1]:
            place += 1
            demand, best = world.phases[place].demand, world.phases[place].earns
        seen = none if plain else world.covariates[visit]
        price = policy.price(seen)
        if plain:
            chance = chances.get((place, price))
            if chance is None:
                chance = chances[place, price] = demand.chance(price)
        else:
            demand = world.demand_at(visit)
            best = best_price(demand, world.cost, max(LOWEST, world.cost), 1.5 * HIGHEST)[1]
            chance = demand.chance(price)
        earned[visit] = (price - world.cost) * chance
        could[visit] = best
        prices[visit] = price
        policy.learn(price, bool(world.luck[visit] < chance), seen)
    steps = np.abs(np.diff(prices)) / prices[:-1]
    return Season(
        share=float(earned.sum() / could.sum()),
        changes=float((steps > 0).sum()) / world.visits * 1000 if plain else 0.0,
        largest_step=float(steps.max()) if plain else 0.0,
        recovered=_recovered(earned / could, shifts[-1]),
    )


def _recovered(shares: Floats, shift: int) -> int:
    after = shares[shift:]
    if len(after) < _WINDOW:
        return -1
    means = np.convolve(after, np.full(_WINDOW, 1 / _WINDOW), "valid")
    good = np.flatnonzero(means >= _WITHIN)
    return int(good[0]) if len(good) else -1
