"""Decides the next price version of a product: earn now, or learn what may earn more.

For each price the belief says what it forgoes (against the best price of each shape) and what it would tell (how far
the shapes disagree about its sales), on top of what visits that have not ended yet will tell. The next version is the
one that forgoes least for what it tells, squared against single (information-directed sampling): nothing is drawn by
chance, so a decision replays bit for bit. The walk there is bounded: a version is held for a number of visits and
differs from the one before by a bounded step. A target may lie beyond a valley, and is walked to. A shift of demand
makes the belief start anew from the price of the day and from what was believed before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from rapport_pricing.domain.anticipating import left_open
from rapport_pricing.domain.demand import STEP, Counts, Floats, Level, Posterior, Shapes, fit
from rapport_pricing.domain.detector import DetectorSettings, Residual, shifted
from rapport_pricing.domain.teaching import after_shift


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """How a price is learned.

    Attributes:
        hold: Visits that a version is held for, at least.
        cells: Steps of the grid that a version may differ from the one before: two stay below 5 %.
        explore_share: Share of the latest versions that may be published to learn rather than to earn.
        forgo: Share of the best expected contribution that a version published to learn may forgo.
        anchor_spread: How far, in the logarithm of the price, the best price is expected from where the seller started.
        detector: When a surprise is a shift.
    """

    hold: int = 25
    cells: int = 2
    explore_share: float = 0.7
    forgo: float = 0.25
    anchor_spread: float = 0.45
    detector: DetectorSettings = field(default_factory=DetectorSettings)


@dataclass(frozen=True, slots=True)
class Version:
    """A price version and what came of it; counts grow as outcomes arrive, in any order.

    Attributes:
        cell: Of the grid.
        price: As published, in minor units.
        expected: Chance of a purchase, as believed when it was published.
        variance: Of that chance.
        explores: Whether it was published to learn.
        shown: Visits at which it could be bought.
        sold: Purchases among them, less returns.
        pending: Visits whose end is not known yet.
    """

    cell: int
    price: int
    expected: float
    variance: float
    explores: bool = False
    shown: int = 0
    sold: int = 0
    pending: int = 0

    @property
    def visits(self) -> int:
        """All visits, whether or not their end is known."""
        return self.shown + self.pending


@dataclass(frozen=True, slots=True)
class Product:
    """What is known of a product in a market when its price is decided.

    Attributes:
        anchor: Price of ratio 1, in minor units: where the seller started.
        cost: Of one piece, net where prices are net.
        lowest: Lowest price that guardrails allow, at all.
        highest: Highest price that guardrails allow, at all.
        prior: Weight of each shape.
        level: What is expected of the level.
    """

    anchor: int
    cost: int
    lowest: int
    highest: int
    prior: Floats
    level: Level = field(default_factory=Level)


@dataclass(frozen=True, slots=True)
class Stock:
    """Stock that must do until more comes.

    Attributes:
        pieces: Left.
        visits: Expected until then.
    """

    pieces: int
    visits: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The next price version.

    Attributes:
        version: To publish; nothing came of it yet.
        settled: The price that earns most by what is believed, within the step: what protected customers pay, if lower.
        target: Where the price is heading, in minor units.
        shifted: Whether demand was found to have shifted: earlier versions count no more.
        run_out: Whether stock, not demand, decided.
        product: As it is from now on: after a shift something else is expected of it.
    """

    version: Version
    settled: int
    target: int
    shifted: bool
    run_out: bool
    product: Product


class Policy:
    """Decides versions of products; made once, it holds nothing of any product."""

    def __init__(self, shapes: Shapes, settings: PolicySettings) -> None:
        """Keep what all products share."""
        self.shapes: Final = shapes
        self.settings: Final = settings
        self._middle: Final = np.log(shapes.ratios)

    def cell_of(self, product: Product, price: int) -> int:
        """Return the cell nearest to a price."""
        place = self.shapes.anchor + round(math.log(max(price, 1) / product.anchor) / STEP)
        return min(max(place, 0), len(self.shapes.ratios) - 1)

    def first(self, product: Product) -> Version:
        """Return the version to start from: the seller's own price."""
        belief = self.believe(product, [])
        chance, variance = _predict(belief, belief.chances(self.shapes)[:, self.shapes.anchor])
        return Version(self.shapes.anchor, product.anchor, chance, variance)

    def believe(self, product: Product, versions: Sequence[Version]) -> Posterior:
        """Return what is believed after versions; they may be in any order."""
        shown: Counts = np.zeros(len(self.shapes.ratios), dtype=np.int64)
        sold: Counts = np.zeros(len(self.shapes.ratios), dtype=np.int64)
        for version in versions:
            shown[version.cell] += version.shown
            sold[version.cell] += version.sold
        return fit(self.shapes, product.prior, product.level, shown, np.clip(sold, 0, shown))

    def standing(self, product: Product, versions: Sequence[Version], price: int, *, explores: bool = False) -> Version:
        """Return what is published at a price, with what is expected of it after versions."""
        belief = self.believe(product, versions)
        cell = self.cell_of(product, price)
        chance, variance = _predict(belief, belief.chances(self.shapes)[:, cell])
        return Version(cell, price, chance, variance, explores)

    def decide(self, product: Product, versions: Sequence[Version], stock: Stock | None = None) -> Decision:
        """Return the next version.

        Args:
            product: As it is now; its cost may have changed.
            versions: Since the last shift, in order, with what came of them so far; at least one.
            stock: Where it is limited.
        """
        found = shifted(
            [Residual(each.shown, each.sold, each.expected, each.variance) for each in versions], self.settings.detector
        )
        last = versions[-1]
        belief = self.believe(product, versions)
        if found:
            prior, level = after_shift(self.shapes, belief)
            product = replace(product, prior=prior, level=level)
            belief = self.believe(product, [])
        start = last.cell if found else versions[0].cell
        chances = belief.chances(self.shapes)
        prices = self.shapes.ratios * product.anchor
        earns = self._earns(product, chances, last.cell)
        weights = self._weigh(belief, earns, start)
        target, settled = self._aim(belief, weights, chances, earns, versions)
        run_out = False
        if stock is not None:
            least = _run_out_cell(weights @ chances, stock)
            run_out = least > settled
            target, settled = (max(least, settled), max(least, settled)) if run_out else (max(least, target), settled)
        reach = self.settings.cells
        cell = min(max(target, last.cell - reach), last.cell + reach)
        calm = min(max(settled, last.cell - reach), last.cell + reach)
        chance, variance = _predict(replace(belief, weights=weights), chances[:, cell])
        version = Version(cell, round(prices[cell]), chance, variance, explores=target != settled)
        return Decision(version, round(prices[calm]), round(prices[target]), found, run_out, product)

    def contributions(self, product: Product, versions: Sequence[Version]) -> Floats:
        """Return what a visit is expected to contribute at each price of the grid, by what is believed after versions.

        Returns:
            In minor units, by cell; below zero where guardrails do not allow the price.
        """
        belief = self.believe(product, versions)
        earns = self._earns(product, belief.chances(self.shapes), versions[-1].cell)
        expected: Floats = self._weigh(belief, earns, versions[0].cell) @ earns
        return expected

    def _earns(self, product: Product, chances: Floats, standing: int) -> Floats:
        """Return what each price of the grid earns by each shape; where none is allowed, that which stands is."""
        prices = self.shapes.ratios * product.anchor
        open_cells = (prices >= product.lowest) & (prices <= product.highest) & (prices > product.cost)
        if not open_cells.any():
            open_cells[standing] = True
        return np.where(open_cells, chances * (prices - product.cost), -1.0)

    def _weigh(self, belief: Posterior, earns: Floats, start: int) -> Floats:
        """Weigh the shapes also by how far their best price is from where the seller started."""
        distance = self._middle[np.argmax(earns, axis=1)] - self._middle[start]
        weights: Floats = belief.weights * np.exp(-0.5 * (distance / self.settings.anchor_spread) ** 2)
        normal: Floats = weights / weights.sum()
        return normal

    def _aim(
        self, belief: Posterior, weights: Floats, chances: Floats, earns: Floats, versions: Sequence[Version]
    ) -> tuple[int, int]:
        """Return the cell to head for, and the one that earns most by what is believed."""
        expected = weights @ earns
        settled = int(np.argmax(expected))
        recent = versions[-40:]
        if sum(each.explores for each in recent) > self.settings.explore_share * len(recent):
            return settled, settled
        mean = weights @ chances
        pending = self._pending(versions)
        if pending.any():
            left, variance = left_open(self.shapes, belief, weights, earns, pending)
            forgone = np.maximum(left + expected[settled] - expected, 1e-12)
        else:
            forgone = np.maximum(weights @ np.max(earns, axis=1) - expected, 1e-12)
            variance = weights @ (chances - mean) ** 2
        told = variance / (mean * (1 - mean))
        ratio = forgone**2 / (told + 1e-9)
        ratio[expected < (1 - self.settings.forgo) * expected[settled]] = np.inf
        return int(np.argmin(ratio)), settled

    def _pending(self, versions: Sequence[Version]) -> Counts:
        pending: Counts = np.zeros(len(self.shapes.ratios), dtype=np.int64)
        for version in versions:
            pending[version.cell] += version.pending
        return np.maximum(pending, 0)


def _predict(belief: Posterior, chances: Floats) -> tuple[float, float]:
    """Return the chance of a purchase at one cell, and its variance between and within shapes."""
    mean = float(belief.weights @ chances)
    between = float(belief.weights @ (chances - mean) ** 2)
    within = float(belief.weights @ (belief.variances * (chances * (1 - chances)) ** 2))
    return mean, between + within


def _run_out_cell(chances: Floats, stock: Stock) -> int:
    """Return the lowest cell at which the stock lasts for the visits to come; the highest if none does."""
    lasts = chances * stock.visits <= stock.pieces
    return int(np.argmax(lasts)) if lasts.any() else len(chances) - 1
