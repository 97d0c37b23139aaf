"""Use case: what a price policy would have done with the visitors there were, before it is put in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, NamedTuple

from rapport_chassis.errors import RapportError

from rapport_pricing.app.learned import Learner, begun, policy_of
from rapport_pricing.app.limits import known_of, lattice_of
from rapport_pricing.app.rules import Learning, Market, Policy
from rapport_pricing.app.stored import SECOND_US, Listing
from rapport_pricing.domain.demand import Floats
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.guardrails import Lattice, Quantity
from rapport_pricing.domain.law import Law
from rapport_pricing.domain.ledger import PriceHistory
from rapport_pricing.domain.money import MAX_AMOUNT, PPM
from rapport_pricing.domain.policy import PolicySettings, Product, Version

_MOST: Final = 2000


class Seen(NamedTuple):
    """Visits at one published price: from when it was in force, the price, how many they were, how many bought."""

    since_us: int
    price: int
    visits: int
    sold: int


class Replayed(NamedTuple):
    """A stretch as it was and as it would have been."""

    since_us: int
    visits: int
    was: int
    would_be: int
    binding: str


class PolicyReplay(NamedTuple):
    """What a policy would have done.

    Attributes:
        prices: Stretch by stretch.
        visits: Of all.
        changes_were: How often the price changed.
        changes_would_be: How often it would have changed.
        contribution_was: Expected of the prices there were, by what is believed now, in minor units.
        contribution_would_be: The same of those there would have been.
        refused: Stretches for which no price was allowed.
    """

    prices: Sequence[Replayed]
    visits: int
    changes_were: int
    changes_would_be: int
    contribution_was: float
    contribution_would_be: float
    refused: int


def replay_policy(
    policy: Policy,
    seen: Sequence[Seen],
    learner: Learner | None,
    listing: Listing,
    market: Market,
    law: Law,
    history: PriceHistory,
) -> PolicyReplay:
    """Return what a policy would have done with the visitors there were.

    What they would have bought is believed, from all outcomes. Where the policy learns, it learns from that; where it
    does not, its guardrails are put over the prices there were.

    Raises:
        RapportError: PRICE_NOT_FOUND: nobody saw a price yet.
    """
    if not seen:
        raise ERRORS.error("PRICE_NOT_FOUND", "nobody saw a price of it yet", field="product_id")
    judge = policy_of(policy.learning.settings if policy.learning is not None else PolicySettings())
    seen = seen[-_MOST:]
    cost = known_of(history, listing.cost, listing.tax_ppm, market, seen[-1].since_us)[Quantity.COST]
    if learner is None or learner.anchor is None:
        learner = begun(judge, Learner(), seen[0].price, cost, [])
    assert learner.anchor is not None
    assert learner.prior is not None
    product = Product(learner.anchor, cost, 0, MAX_AMOUNT, learner.prior, learner.level)
    belief = judge.believe(
        product,
        [Version(judge.cell_of(product, each.price), each.price, 0, 0, False, each.visits, each.sold) for each in seen],
    )
    chances: Floats = belief.weights @ belief.chances(judge.shapes)
    walk = _Walk(lattice_of(policy, law, market), listing, market, history, seen[0].price)
    versions: list[Version] = []
    prices: list[Replayed] = []
    for each in seen:
        wished = each.price
        if policy.learning is not None and versions:
            wished = judge.decide(_within(product, policy.learning), versions).version.price
        binding = walk.to(wished, each.since_us)
        cell = judge.cell_of(product, walk.price)
        if policy.learning is not None:
            sold = round(each.visits * float(chances[cell]))
            standing = judge.standing(product, versions, walk.price)
            versions.append(replace(standing, shown=each.visits, sold=sold))
        prices.append(Replayed(each.since_us, each.visits, each.price, walk.price, binding))

    def earned(price: int, visits: int) -> float:
        return visits * float(chances[judge.cell_of(product, price)]) * (price - product.cost)

    return PolicyReplay(
        prices,
        sum(each.visits for each in prices),
        _changes([each.was for each in prices]),
        _changes([each.would_be for each in prices]),
        sum(earned(each.was, each.visits) for each in prices),
        sum(earned(each.would_be, each.visits) for each in prices),
        walk.refused,
    )


class _Walk:
    """A price that goes where guardrails let it."""

    def __init__(self, lattice: Lattice, listing: Listing, market: Market, history: PriceHistory, price: int) -> None:
        self.price = price
        self.refused = 0
        self._changed_us: int | None = None
        self._lattice = lattice
        self._listing = listing
        self._market = market
        self._history = history

    def to(self, wished: int, at_us: int) -> str:
        """Go as near to a price as is allowed, and return the rule that bound it."""
        known = dict(known_of(self._history, self._listing.cost, self._listing.tax_ppm, self._market, at_us))
        known[Quantity.PUBLISHED] = self.price
        if self._changed_us is not None:
            known[Quantity.SECONDS_SINCE_CHANGE] = (at_us - self._changed_us) // SECOND_US
        try:
            guarded = self._lattice.guard(wished, known)
        except RapportError as refusal:
            self.refused += 1
            return refusal.metadata.get("rule", "")
        if guarded.price != self.price:
            self.price, self._changed_us = guarded.price, at_us
        return guarded.binding


def _within(product: Product, learning: Learning) -> Product:
    lowest = -(-product.anchor * learning.lowest_ppm // PPM)
    return replace(product, lowest=lowest, highest=product.anchor * learning.highest_ppm // PPM)


def _changes(prices: Sequence[int]) -> int:
    return sum(before != after for before, after in pairwise(prices))
