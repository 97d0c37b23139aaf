"""The service's own policy as a policy of the simulator: learner, guardrails and all, outcomes at once or late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from rapport_pricing.domain.demand import Floats, Level, shipped_shapes
from rapport_pricing.domain.guardrails import Lattice, Quantity, Rule, Side, Tier
from rapport_pricing.domain.policy import Policy, PolicySettings, Product, Stock, Version
from rapport_pricing.simulator.scenarios import World

GUARDRAILS: Final = Lattice(
    [
        Rule("cost.floor", Tier.COST, Side.FLOOR, Quantity.COST, yields=False),
        Rule("rate.fall", Tier.RATE, Side.FLOOR, Quantity.PUBLISHED, 95, 100),
        Rule("rate.rise", Tier.RATE, Side.CEILING, Quantity.PUBLISHED, 105, 100),
        Rule("rate.cadence", Tier.RATE, Side.EXACT, Quantity.PUBLISHED, until=(Quantity.VISITS_SINCE_CHANGE, 25)),
    ]
)
"""What every season is played under: never below cost, at most 5 % a step, at most one step in 25 visits."""


class Seller:
    """Sells one product, as the service does: a version is published, held, judged and followed by another."""

    def __init__(
        self,
        world: World,
        seed: int = 0,
        *,
        settings: PolicySettings | None = None,
        prior: Floats | None = None,
        level: Level | None = None,
    ) -> None:
        """Begin at the incumbent price; the seed changes nothing, since nothing is drawn."""
        del seed
        shapes = shipped_shapes()
        self.policy = Policy(shapes, settings or PolicySettings())
        self.product = Product(
            world.incumbent,
            world.cost,
            world.lowest,
            world.highest,
            shapes.prior if prior is None else prior,
            level or Level(),
        )
        self.versions: list[Version] = [self.policy.first(self.product)]
        self.shifts: list[int] = []
        self.stock: Stock | None = None
        self._visits = 0
        self._held = 0

    def price(self, covariates: Floats) -> int:
        """Return the published price."""
        del covariates
        if self._held >= self.policy.settings.hold:
            self.publish()
        return self.versions[-1].price

    def learn(self, price: int, bought: bool, covariates: Floats) -> None:
        """Hear how a visit ended."""
        del price, covariates
        last = self.versions[-1]
        self.versions[-1] = replace(last, shown=last.shown + 1, sold=last.sold + bought)
        self._held += 1
        self._visits += 1

    def publish(self) -> None:
        """Decide, guard and publish the next version."""
        decision = self.policy.decide(self.product, self.versions, self.stock)
        self.product = decision.product
        if decision.shifted:
            self.versions, self.shifts = [replace(self.versions[-1], shown=0, sold=0)], [*self.shifts, self._visits]
        known: Mapping[Quantity, int] = {
            Quantity.COST: self.product.cost,
            Quantity.PUBLISHED: self.versions[-1].price,
            Quantity.VISITS_SINCE_CHANGE: self._held,
        }
        price = GUARDRAILS.guard(decision.version.price, known).price
        self.versions.append(replace(decision.version, price=price, cell=self.policy.cell_of(self.product, price)))
        self._held = 0
