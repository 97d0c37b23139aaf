"""Pricing stands alone: before its tables and streams, and with the broker or the consent service away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2
from pricing_alone import Alone
from pricing_desk import Desk, open_desk
from pricing_installation import (
    BUYER,
    OFFICE,
    PERSONAL,
    PRICING,
    SHOP,
    PricingInstallation,
    rows_of,
)
from pricing_words import minor, product, promotion_terms, request_id, risk_cleared, risk_raised
from rapport.pricing.v1 import authored_pb2, events_pb2
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

LOYALTY = authored_pb2.PROMOTION_AUDIENCE_LOYALTY


pytestmark = pytest.mark.xdist_group("alone")


@pytest.fixture
def desk(alone_desk: Desk) -> Desk:
    return alone_desk


async def says(desk: Desk, role: str, *, serving: bool) -> bool:
    """Whether a role says that it is ready, or that it is not."""
    try:
        answer = await desk.health.Check(health_pb2.HealthCheckRequest(service=role))
    except RemoteError:
        return False
    return (answer.status == health_pb2.HealthCheckResponse.SERVING) is serving


async def waits(installation: PricingInstallation, profile_id: str) -> bool:
    """Whether a risk waits for its answer."""
    statement = "SELECT FROM risks WHERE profile_id = %s AND waiting_event_id <> ''"
    return bool(await rows_of(installation, statement, [profile_id]))


async def told_of(installation: PricingInstallation, product_id: str) -> None:
    """Wait until an event about a product is in the stream."""

    async def there() -> bool:
        return any(product_id.encode() in each.data for each in await installation.stored())

    await eventually(there, timeout_s=30, interval_s=0.05)


async def test_started_before_its_tables_and_streams_it_takes_up_both_when_they_come(tmp_path: Path) -> None:
    installation = PricingInstallation(PRICING, tmp_path / "early")
    installation.grant(SHOP, ["pricing.*"])
    installation.grant(OFFICE, ["pricing.*"])
    installation.grant_role(BUYER, ["pricing.*"])
    await asyncio.to_thread(installation.start, provisioned=False, migrated=False)
    service = installation.process()
    try:
        await asyncio.to_thread(service.start)
        async with open_desk(installation) as desk:
            assert await says(desk, "api", serving=False)
            with refused("NOT_READY"):
                await desk.quote((product(), 1))
            await asyncio.to_thread(installation.migrate)
            await desk.until_ready()
            await desk.declare("DE")
            made = await desk.sold(1000)
            assert minor((await desk.quote((made, 1))).gross) == 1000
            assert await says(desk, "relay", serving=False)
            await asyncio.to_thread(installation.provision)
            await told_of(installation, made.product_id)
    finally:
        await asyncio.to_thread(service.kill)
        await asyncio.to_thread(installation.stop)


async def test_with_nats_away_quotes_are_made_and_used_and_prices_told_of_afterwards(alone: Alone, desk: Desk) -> None:
    await asyncio.to_thread(alone.installation.nats.kill)
    try:
        made = await desk.sold(1000)
        quote = await desk.quote((made, 1), profile_id=new_id("profile"))
        assert minor((await desk.redeem(quote)).all_in) == 1000
        await eventually(lambda: says(desk, "relay", serving=False), timeout_s=30)
        assert await says(desk, "api", serving=True)
    finally:
        await asyncio.to_thread(alone.installation.nats.start)
    await told_of(alone.installation, made.product_id)
    await told_of(alone.installation, quote.quote_id)


async def test_with_consent_away_everybody_pays_the_published_price_and_personal_ones_come_back(
    alone: Alone, desk: Desk
) -> None:
    who, made = new_id("profile"), await desk.sold(1000)
    scope = authored_pb2.TermsScope(product_ids=[made.product_id], markets=["DE"])
    await desk.promote(f"p{request_id()[:12]}", promotion_terms(scope=scope, audience=LOYALTY, loyalty="gold"))
    await asyncio.to_thread(alone.installation.ledger.grant, who, PERSONAL)

    async def costs(price: int) -> bool:
        return minor((await desk.quote((made, 1), profile_id=who, loyalty="gold")).gross) == price

    await eventually(lambda: costs(900), timeout_s=20)
    await asyncio.to_thread(alone.installation.ledger.pause)
    try:
        await eventually(lambda: costs(1000), timeout_s=20)
        with refused("PERMISSION_UNKNOWN"):
            await desk.offer(who, "winback")
        await alone.installation.broker().publish(risk_raised(who))
        await eventually(lambda: waits(alone.installation, who), timeout_s=20)
        assert await says(desk, "api", serving=True)
    finally:
        await asyncio.to_thread(alone.installation.ledger.resume)
    await eventually(lambda: costs(900), timeout_s=30)
    # Nobody could say whether an offer was allowed when the risk was heard of: it is made as soon as that is known.
    await eventually(lambda: desk.offers(who), timeout_s=20)
    assert not await waits(alone.installation, who)


async def test_a_risk_that_is_over_before_the_ledger_was_read_takes_back_what_was_offered_by_an_earlier_id(
    alone: Alone, desk: Desk
) -> None:
    ledger, broker = alone.installation.ledger, alone.installation.broker()
    survivor, who = new_id("profile"), new_id("profile")
    await asyncio.to_thread(ledger.grant, who, PERSONAL)
    await desk.until_known(ledger)
    await broker.publish(risk_raised(who))
    await eventually(lambda: desk.offers(who), timeout_s=20)
    await asyncio.to_thread(ledger.merge, survivor, who)
    await asyncio.to_thread(ledger.pause)
    try:
        await alone.restarted(desk)
        await broker.publish(risk_cleared(survivor, 1))
        await eventually(lambda: waits(alone.installation, survivor), timeout_s=20)
    finally:
        await asyncio.to_thread(ledger.resume)

    async def taken_back() -> bool:
        return [each.offer.state for each in await desk.offers(survivor)] == [events_pb2.OFFER_STATE_WITHDRAWN]

    await eventually(taken_back, timeout_s=30)
