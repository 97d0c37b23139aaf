"""Seasons with a crowd: visitors of several channels and tastes, some of whom consent, and a rival whose price moves.

One price is published for all channels. For who consents, and for nobody else, it may be lowered to what suits their
taste; it is never raised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rapport_pricing.simulator.demand import Floats, Logit
from rapport_pricing.simulator.scenarios import VISITS, World, build
from rapport_pricing.simulator.seller import Seller

_MOST_OFF: Final = 0.15
_RIVAL_MATTERS: Final = 4.0
_GRID: Final = 61


@dataclass(frozen=True, slots=True)
class Crowd:
    """A season of visitors.

    Attributes:
        world: What is sold; its demand is that of a visitor of middling taste while the rival is not cheaper.
        odds: What channel and taste add to the log-odds of each visitor.
        consents: Whether each consents.
        rival: The rival's price at each visit.
        moves: First visit of each of the rival's prices.
    """

    world: World
    odds: Floats
    consents: npt.NDArray[np.bool_]
    rival: Floats
    moves: tuple[int, ...]

    def chances(self, visits: slice, price: float | Floats) -> Floats:
        """Return the chance that each of some visitors buys at a price, or that one does at each of some prices."""
        demand = self.world.phases[0].demand
        assert isinstance(demand, Logit)
        dearer = np.maximum(price / self.rival[visits] - 1, 0.0)
        odds = demand.level - demand.slope * price + self.odds[visits] - _RIVAL_MATTERS * dearer
        chances: Floats = 1 / (1 + np.exp(-odds))
        return chances


@dataclass(frozen=True, slots=True)
class CrowdSeason:
    """How the service did.

    Attributes:
        share: Contribution at published prices over that of a clairvoyant, who publishes the best one at each move.
        personal: The same with personal prices, for who consents.
        raised: Visitors who would have paid more than the published price: none.
        published: Published price, the mean over all visits, in minor units.
    """

    share: float
    personal: float
    raised: int
    published: float


def gather(
    seed: int, *, consent: float = 0.5, channels: int = 3, moves: int = 3, visits: int = VISITS, taste: float = 0.8
) -> Crowd:
    """Return a crowd; the same arguments give the same one.

    Args:
        seed: Any.
        consent: Share of visitors who consent.
        channels: How many channels they come by.
        moves: Prices that the rival has, one after the other.
        visits: Length of the season.
        taste: Standard deviation of tastes, in log-odds.
    """
    world = build(3, seed, visits)
    draw = np.random.default_rng([33, seed])
    by_channel = draw.normal(0, 0.3, channels)
    begins = [round(place * visits / moves) for place in range(moves)]
    prices = world.phases[0].best * draw.uniform(0.85, 1.25, moves)
    return Crowd(
        world,
        by_channel[draw.integers(channels, size=visits)] + draw.normal(0, taste, visits),
        draw.random(visits) < consent,
        np.repeat(prices, np.diff([*begins, visits])),
        tuple(begins),
    )


def crowd_season(crowd: Crowd) -> CrowdSeason:
    """Sell to a crowd as the service does: the learner publishes, and hears of everybody who pays what is published."""
    world = crowd.world
    seller = Seller(world)
    none = np.empty(0)
    earned = personal = published = 0.0
    raised = 0
    for visit in range(world.visits):
        price = seller.price(none)
        at = slice(visit, visit + 1)
        chance = float(crowd.chances(at, price)[0])
        own = _personal(crowd, at, price) if crowd.consents[visit] else float(price)
        raised += own > price
        earned += (price - world.cost) * chance
        personal += (own - world.cost) * float(crowd.chances(at, own)[0])
        published += price
        if own == price:
            seller.learn(price, bool(world.luck[visit] < chance), none)
    could = _clairvoyant(crowd)
    return CrowdSeason(earned / could, personal / could, raised, published / world.visits)


def _personal(crowd: Crowd, at: slice, price: int) -> float:
    """Return the price, at most the published one, that earns most from a visitor whose taste is known."""
    prices = np.linspace(max(price * (1 - _MOST_OFF), crowd.world.cost), price, _GRID)
    return float(prices[int(np.argmax((prices - crowd.world.cost) * crowd.chances(at, prices)))])


def _clairvoyant(crowd: Crowd) -> float:
    """Return what the best published price of each of the rival's prices earns."""
    world = crowd.world
    prices = np.linspace(max(world.lowest, world.cost), world.highest, 4 * _GRID)
    ends = (*crowd.moves[1:], world.visits)
    return sum(
        max(float((price - world.cost) * crowd.chances(slice(begin, end), price).sum()) for price in prices)
        for begin, end in zip(crowd.moves, ends, strict=True)
    )
