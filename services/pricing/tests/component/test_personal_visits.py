"""Visits at personal prices teach the list price nothing: it is not raised to pay for them."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from pricing_desk import Desk
from pricing_installation import PricingInstallation
from pricing_learning import BOUGHT, HOLD, NOT_BOUGHT, history, learned, season, settled
from pricing_words import minor, outcome, promotion_terms, request_id
from rapport.pricing.v1 import authored_pb2, pricing_pb2, product_pb2, quote_pb2
from rapport_chassis.ids import new_id
from rapport_testing.waiting import eventually

TURNS = 6
RENAME = """
UPDATE decisions SET quote_id = named FROM unnest(%s::text[], %s::text[]) AS quotes (said, named) WHERE quote_id = said
"""


async def loyal(desk: Desk, made: product_pb2.Product) -> None:
    """Whoever is loyal pays a tenth less for a product."""
    scope = authored_pb2.TermsScope(categories=[made.category])
    audience = authored_pb2.PROMOTION_AUDIENCE_LOYALTY
    await desk.promote(f"p{request_id()[:12]}", promotion_terms(scope=scope, audience=audience, loyalty="gold"))


async def personal(desk: Desk, made: product_pb2.Product, who: str) -> quote_pb2.Quote:
    """A quote that personal data lowered."""
    quote = await desk.quote((made, 1), profile_id=who, loyalty="gold")
    assert quote.personalised
    return quote


def of_quote(made: product_pb2.Product, version: int, quote_id: str) -> pricing_pb2.Outcome:
    """A purchase by a quote."""
    bought = outcome(made, version, "unused", BOUGHT)
    bought.quote_id = quote_id
    return bought


@asynccontextmanager
async def owner(installation: PricingInstallation) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A transaction of the database's owner."""
    dsn = installation.database_settings().owner_dsn
    assert dsn is not None
    async with await psycopg.AsyncConnection.connect(dsn.get_secret_value()) as connection:
        yield connection


async def test_visits_at_personal_prices_teach_nothing_though_the_same_visits_of_nobody_move_the_price(
    desk: Desk, installation: PricingInstallation, consented: str
) -> None:
    made, plain = await learned(desk, 1200, 700), await learned(desk, 1200, 700)
    await loyal(desk, made)
    for each in (made, plain):
        await desk.report(outcome(each, 1, new_id("touchpoint"), NOT_BOUGHT))
        await settled(desk, each, 1)
    async with owner(installation) as connection:
        await connection.execute("LOCK TABLE decisions IN EXCLUSIVE MODE")  # no quote can be journalled
        quotes = [await personal(desk, made, consented) for _ in range(HOLD)]
        await desk.report(*(of_quote(made, 1, each.quote_id) for each in quotes))
        await desk.report(*(outcome(plain, 1, new_id("touchpoint"), BOUGHT) for _ in range(HOLD)))
        await settled(desk, plain, 2)
        assert (await desk.learning(made)).turn == 1, "a version is held for visits that teach"
    await desk.redeem(quotes[0])
    await desk.report(*(outcome(made, 1, new_id("touchpoint"), NOT_BOUGHT) for _ in range(HOLD - 1)))
    await settled(desk, made, 2)
    found = await desk.learning(made, refold=True, audit=True)
    assert (found.shown, found.sold, found.refolds) == (HOLD, 0, True)
    assert found.list_price_audit.personal_visits == 0
    prices = {each.product_id: [minor(price.gross) for price in await history(desk, each)] for each in (made, plain)}
    assert prices[made.product_id][-1] < 1200 < prices[plain.product_id][-1]


async def test_an_audit_finds_visits_that_taught_though_the_journal_says_that_their_price_was_personal(
    desk: Desk, installation: PricingInstallation, consented: str
) -> None:
    made = await learned(desk, 1200, 700)
    await loyal(desk, made)

    def chance(price: int) -> float:
        return 1 / (1 + math.exp((price - 1100) / 60))

    async def of_earlier_release(count: int) -> list[str]:
        """Ids of personal quotes as if a release had made them whose ids do not say so."""
        said = [(await personal(desk, made, consented)).quote_id for _ in range(count)]
        named = [new_id("quote") for _ in said]

        async def journalled() -> bool:
            async with owner(installation) as connection:
                renamed = await connection.execute(RENAME, (said, named))
                if renamed.rowcount < count:
                    await connection.rollback()
            return renamed.rowcount == count

        await eventually(journalled, timeout_s=10)
        return named

    draw, found = random.Random(5), await season(desk, made, 1, chance)
    plain = (await desk.learning(made, audit=True)).list_price_audit
    assert (plain.personal_visits, plain.gap_ppm, plain.passed) == (0, 0, True)
    for turn in range(found.turn + 1, found.turn + 1 + TURNS):
        price = minor((await history(desk, made))[-1].gross)
        ends = [BOUGHT if draw.random() < chance(price) else NOT_BOUGHT for _ in range(HOLD // 2)]
        quotes = await of_earlier_release(HOLD // 2)  # whoever has a personal price buys, whatever the list price is
        await desk.report(
            *(outcome(made, found.price_version, new_id("touchpoint"), end) for end in ends),
            *(of_quote(made, found.price_version, each) for each in quotes),
        )
        found = await settled(desk, made, turn)
    raised = (await desk.learning(made, audit=True)).list_price_audit
    assert raised.personal_visits == TURNS * HOLD // 2
    assert minor(raised.believed) > minor(raised.neutral)
    assert not raised.passed
