"""Use case: whether a list price heads for what it would head for if nobody got a personal price.

Visits at personal prices are not folded into what is learned, by the id of their quote. The audit asks the journal
instead: what the quotes said that were folded in all the same.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from rapport_pricing.app.catalogue import Catalogue, Laws, listing_of
from rapport_pricing.app.learned import Learner, Ledger, look, policy_of
from rapport_pricing.app.limits import floors_of, known_of
from rapport_pricing.app.rules import Learning
from rapport_pricing.app.stored import Key
from rapport_pricing.domain.guardrails import Quantity
from rapport_pricing.domain.money import PPM
from rapport_pricing.domain.outcomes import Count
from rapport_pricing.domain.personal import ListPriceAudit, audit_list_price
from rapport_pricing.domain.policy import Version


class PersonalVisits(Ledger, Protocol):
    """What was learned, and from which visits though personal data lowered their price."""

    async def personal_visits(self, key: Key, since_us: int) -> dict[int, Count]:
        """Return what visits since a time, that saw a personal price by the journal, added to price versions."""
        ...


class Bounds(NamedTuple):
    """Within what a list price is learned.

    Attributes:
        learning: How.
        cost: Of one piece, as prices are published.
        floor: Lowest price that law, cost and contract allow.
    """

    learning: Learning
    cost: int
    floor: int


async def bounds_of(catalogue: Catalogue, laws: Laws, key: Key) -> Bounds | None:
    """Return within what the price of a listing is learned now; None where it is not.

    Raises:
        RapportError: LISTING_NOT_FOUND, MARKET_NOT_DECLARED, GUARDRAILS_CONTRADICT.
    """
    product, listing = await listing_of(catalogue, key)
    rulebook = await catalogue.rulebook()
    market = rulebook.market(key.market)
    authored = rulebook.policy(product.product_id, product.category, product.brand_id, market.name)
    if authored is None or authored.learning is None:
        return None
    known = known_of(await catalogue.history(key), listing.cost, listing.tax_ppm, market, catalogue.now_us)
    floors = floors_of(authored, laws.at(market.name, product.category, catalogue.now_us), market)
    return Bounds(authored.learning, known[Quantity.COST], floors.guard(0, known).price)


async def audit(ledger: PersonalVisits, learner: Learner, key: Key, bounds: Bounds) -> ListPriceAudit | None:
    """Audit the list price of a listing; None if nothing was learned yet.

    Args:
        ledger: What was learned.
        learner: Begun.
        key: The listing.
        bounds: Within what it is learned.
    """
    outlook = await look(ledger, learner, key, bounds.learning, cost=bounds.cost, floor=bounds.floor)
    if not outlook.turns:
        return None
    personal = await ledger.personal_visits(key, outlook.turns[0].at_us)
    cells = {turn.price_version: turn.cell for turn in outlook.turns}
    left_out = [
        Version(cells[number], 0, 0.0, 0.0, shown=-count.shown, sold=-count.sold)
        for number, count in personal.items()
        if number in cells
    ]
    judge = policy_of(bounds.learning.settings)
    first, *others = outlook.versions
    believed = judge.contributions(outlook.product, outlook.versions)
    neutral = judge.contributions(outlook.product, [first, *left_out, *others])
    prices = judge.shapes.ratios * outlook.product.anchor
    aim, plain = int(np.argmax(believed)), int(np.argmax(neutral))
    forgone = 1 - neutral[aim] / neutral[plain] if neutral[plain] > 0 else 0.0
    return audit_list_price(
        round(prices[aim]),
        round(prices[plain]),
        personal_visits=-sum(each.shown for each in left_out),
        forgone_ppm=round(forgone * PPM),
    )
