"""Products whose prices are learned, and what they sell."""

from __future__ import annotations

import random
from typing import Any, Final

from pricing_desk import Desk
from pricing_words import minor, outcome, request_id
from rapport.pricing.v1 import authored_pb2, catalog_pb2, learning_pb2, pricing_pb2, product_pb2
from rapport_chassis.ids import new_id
from rapport_testing.waiting import eventually

SEEN: Final = pricing_pb2.OUTCOME_KIND_SEEN
BOUGHT: Final = pricing_pb2.OUTCOME_KIND_BOUGHT
NOT_BOUGHT: Final = pricing_pb2.OUTCOME_KIND_NOT_BOUGHT
HOLD: Final = 20
"""Visits that a version is held for."""


def rate(rule_id: str, side: authored_pb2.RuleSide.ValueType, percent: int) -> authored_pb2.PriceRule:
    """A bound on the next price, in percent of the one in force."""
    return authored_pb2.PriceRule(
        rule_id=rule_id,
        tier=product_pb2.RULE_TIER_RATE,
        side=side,
        of=authored_pb2.RULE_QUANTITY_PUBLISHED,
        numerator=percent,
        denominator=100,
    )


_RULES: Final = [
    rate("rate.fall", authored_pb2.RULE_SIDE_FLOOR, 97),
    rate("rate.rise", authored_pb2.RULE_SIDE_CEILING, 103),
]


async def learned(desk: Desk, price: int, cost: int, **terms: Any) -> product_pb2.Product:
    """A product whose price is learned, at most 3 % a step."""
    category = f"c{request_id()[:8]}"
    scope = authored_pb2.TermsScope(categories=[category])
    learning = authored_pb2.LearningTerms(hold_visits=HOLD, **terms)
    await desk.rule(f"learn-{category}", *_RULES, scope=scope, rank=5, learning=learning)
    return await desk.sold(price, cost, category=category)


async def history(desk: Desk, made: product_pb2.Product) -> list[product_pb2.PublishedPrice]:
    """What was published of a product, oldest first."""
    request = catalog_pb2.GetPriceHistoryRequest(product_id=made.product_id, market="DE", page_size=500)
    return list(reversed((await desk.shop.GetPriceHistory(request)).prices))


async def settled(desk: Desk, made: product_pb2.Product, turn: int) -> learning_pb2.PriceLearning:
    """Where learning stands once everything was folded in and a turn was taken."""

    async def there() -> Any:
        found = await desk.learning(made)
        return found if found.turn >= turn and not found.waiting else None

    found: learning_pb2.PriceLearning = await eventually(there, timeout_s=20)
    return found


async def season(desk: Desk, made: product_pb2.Product, turns: int, chance: Any) -> learning_pb2.PriceLearning:
    """Sell through the public client for some turns: late, twice and out of order."""
    draw, late = random.Random(3), []
    await desk.report(outcome(made, 1, new_id("touchpoint"), SEEN))
    found = await settled(desk, made, 1)
    for turn in range(2, turns + 2):
        version = found.price_version
        price = minor((await history(desk, made))[-1].gross)
        heard = []
        for _ in range(HOLD):
            view = new_id("touchpoint")
            heard.append(outcome(made, version, view, SEEN))
            late.append(outcome(made, version, view, BOUGHT if draw.random() < chance(price) else NOT_BOUGHT))
        draw.shuffle(late)
        heard += late[: len(late) * 3 // 4]
        late = late[len(late) * 3 // 4 :]
        heard += draw.sample(heard, 5)
        await desk.report(*heard)
        found = await settled(desk, made, turn)
    await desk.report(*late)
    return found
