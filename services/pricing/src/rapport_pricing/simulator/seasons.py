"""Seasons beside the seven: outcomes late, repeated and out of order; stock that must last; many products at once."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from rapport_pricing.domain.demand import Floats
from rapport_pricing.domain.outcomes import NOTHING, Fold, News, Outcome
from rapport_pricing.domain.policy import Stock
from rapport_pricing.domain.teaching import Lesson, lesson, pooled_level, pooled_prior
from rapport_pricing.simulator.demand import Demand
from rapport_pricing.simulator.playing import play
from rapport_pricing.simulator.scenarios import World
from rapport_pricing.simulator.seller import Seller

_GRID: Final = 1001


@dataclass(frozen=True, slots=True)
class Post:
    """How outcomes travel.

    Attributes:
        delay: Visits until it is heard how one ended; that it was is known at once.
        repeated: Share that arrives twice.
        reordered: Share that arrives up to twice as late.
    """

    delay: int = 2000
    repeated: float = 0.05
    reordered: float = 0.05


class DistantSeller(Seller):
    """The seller who hears late how visits end; each end is folded in when it arrives, as the service folds them."""

    def __init__(self, world: World, seed: int, post: Post) -> None:
        """Begin at the incumbent price; the seed draws what becomes of the post."""
        super().__init__(world)
        self._post = post
        self._draw = np.random.default_rng(seed + 5)
        self._under_way: list[tuple[int, int, Outcome]] = []
        self._fold = Fold()
        self._first = 0

    def learn(self, price: int, bought: bool, covariates: Floats) -> None:
        """Post the outcome of a visit, and hear what arrives now."""
        del price, covariates
        view, version = f"v{self._visits}", self._first + len(self.versions) - 1
        self._fold.hear([Outcome(view, version, News.SEEN)])
        self._send(Outcome(view, version, News.BOUGHT if bought else News.NOT_BOUGHT))
        self._held += 1
        self._visits += 1
        heard = []
        while self._under_way and self._under_way[0][0] <= self._visits:
            heard.append(heapq.heappop(self._under_way)[2])
        self._fold.hear(heard)

    def publish(self) -> None:
        """Take over what was heard, then decide as ever."""
        for place, version in enumerate(self.versions):
            shown, sold, pending = self._fold.counts.get(self._first + place, NOTHING)
            self.versions[place] = replace(version, shown=shown, sold=sold, pending=pending)
        before, known = len(self.versions), len(self.shifts)
        super().publish()
        if len(self.shifts) > known:
            self._first += before - 1

    def _send(self, outcome: Outcome) -> None:
        late = self._post.delay
        if self._draw.random() < self._post.reordered:
            late += int(self._draw.integers(self._post.delay + 1))
        heapq.heappush(self._under_way, (self._visits + late, len(self._under_way), outcome))
        if self._draw.random() < self._post.repeated:
            later = self._visits + late + int(self._draw.integers(200))
            heapq.heappush(self._under_way, (later, len(self._under_way), outcome))


@dataclass(frozen=True, slots=True)
class StockSeason:
    """A season that starts with stock for a share of what would be sold.

    Attributes:
        share: Contribution over that of the best single price of a clairvoyant who knows demand and stock.
        ignoring: The same for the price that is best with stock to spare.
        sold_out: Share of visits that found nothing left.
    """

    share: float
    ignoring: float
    sold_out: float


def stock_season(world: World, *, stock_share: float = 0.5) -> StockSeason:
    """Learn a product with stock to spare for one season, then sell a limited stock in another.

    Args:
        world: Whose first curve of demand holds in both seasons.
        stock_share: Stock of the second season, as a share of what the best price would sell in it.
    """
    seller = Seller(world)
    play(seller, world)
    phase = world.phases[0]
    pieces = round(stock_share * world.visits * phase.demand.chance(phase.best))
    luck = np.random.default_rng(world.incumbent).random(world.visits)
    left, earned, sold_out = pieces, 0.0, 0
    for visit in range(world.visits):
        seller.stock = Stock(left, world.visits - visit)
        price = seller.price(np.empty(0))
        if left == 0:
            sold_out += 1
            continue
        bought = bool(luck[visit] < phase.demand.chance(price))
        left -= bought
        earned += bought * (price - world.cost)
        seller.learn(price, bought, np.empty(0))
    could = _with_stock(phase.demand, world, pieces)
    plain = min(pieces, world.visits * phase.demand.chance(phase.best)) * (phase.best - world.cost)
    return StockSeason(earned / could, plain / could, sold_out / world.visits)


def _with_stock(demand: Demand, world: World, pieces: int) -> float:
    prices = np.linspace(world.cost, 2 * world.highest, _GRID)
    sold = np.array([min(pieces, world.visits * demand.chance(float(price))) for price in prices])
    return float(np.max(sold * (prices - world.cost)))


def cold_start(worlds: Sequence[World]) -> list[float]:
    """Sell one product after the other, each with the prior that those before it taught; return the share of each."""
    shares: list[float] = []
    lessons: list[Lesson] = []
    for world in worlds:
        seller = Seller(world)
        shapes = seller.policy.shapes
        cost_share = world.cost / world.incumbent
        prior = pooled_prior(shapes, lessons, cost_share)
        seller.product = replace(seller.product, prior=prior, level=pooled_level(lessons))
        seller.versions = [seller.policy.first(seller.product)]
        shares.append(play(seller, world).share)
        lessons.append(lesson(shapes, seller.policy.believe(seller.product, seller.versions), cost_share))
    return shares
