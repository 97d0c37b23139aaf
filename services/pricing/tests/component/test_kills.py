"""A process killed at any step leaves no redeemed quote without its promotion, and holds nothing for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from pricing_desk import Desk, furnish, open_desk
from pricing_installation import PricingInstallation, rows_of, start_installation
from pricing_words import minor, outcome, promotion_terms, request_id
from rapport.pricing.v1 import authored_pb2, pricing_pb2, product_pb2, quote_pb2
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.free_ports import free_port
from rapport_testing.process import ServiceProcess
from rapport_testing.waiting import eventually

Alone = tuple[PricingInstallation, ServiceProcess]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """Servers, and a process that comes back at the same address."""
    installation = start_installation(tmp_path_factory.mktemp("kills"))
    service = installation.process(grpc__port=str(free_port()))
    try:
        service.start()
        furnish(installation)
        yield installation, service
    finally:
        service.kill()
        installation.stop()


@pytest.fixture
async def desk(alone: Alone) -> AsyncIterator[Desk]:
    """Where the service is called from."""
    async with open_desk(alone[0]) as made:
        await made.until_ready()
        yield made


async def restarted(service: ServiceProcess, desk: Desk, *failpoints: str) -> None:
    await asyncio.to_thread(service.kill)
    service.arm(*failpoints)
    await asyncio.to_thread(service.start)
    await desk.until_ready()


async def revived(service: ServiceProcess, desk: Desk) -> None:
    await asyncio.to_thread(service.wait_killed)
    service.arm()
    await asyncio.to_thread(service.start)
    await desk.until_ready()


async def counts(installation: PricingInstallation, promotion: str) -> tuple[int, ...]:
    """Uses held and committed by the tally, and by the rows it counts."""
    (row,) = await rows_of(
        installation,
        """
        SELECT reserved_uses, committed_uses,
            (SELECT count(*) FROM reservations WHERE promotion_id = %(id)s AND state = 'held'),
            (SELECT count(*) FROM reservations JOIN redemptions USING (quote_id)
            WHERE promotion_id = %(id)s AND state = 'committed')
        FROM (SELECT coalesce(max(reserved_uses), 0) AS reserved_uses,
            coalesce(max(committed_uses), 0) AS committed_uses
            FROM tallies WHERE promotion_id = %(id)s) AS counted
        """,
        {"id": promotion},
    )
    return row


async def capped(desk: Desk) -> tuple[product_pb2.Product, str]:
    shoe, promotion = await desk.sold(1000), f"p{request_id()[:12]}"
    scope = authored_pb2.TermsScope(product_ids=[shoe.product_id], markets=["DE"])
    await desk.promote(promotion, promotion_terms(scope=scope, caps=authored_pb2.PromotionCaps(uses=1)))
    return shoe, promotion


async def lost(call: object) -> None:
    with pytest.raises(RemoteError) as caught:
        await call  # type: ignore[misc] # a coroutine of the desk
    assert caught.value.reason.name in ("UNAVAILABLE", "NOT_READY"), caught.value


async def test_a_kill_while_a_use_is_held_holds_nothing(alone: Alone, desk: Desk) -> None:
    installation, service = alone
    shoe, promotion = await capped(desk)
    await restarted(service, desk, "pricing.quote.held=kill")
    await lost(desk.quote((shoe, 1)))
    await revived(service, desk)
    assert await counts(installation, promotion) == (0, 0, 0, 0)
    assert minor((await desk.quote((shoe, 1))).gross) == 900


@pytest.mark.parametrize("step", ["begun", "kept", "committed", "told"])
async def test_a_kill_at_a_step_of_a_redemption_leaves_all_of_it_or_nothing(
    alone: Alone, desk: Desk, step: str
) -> None:
    installation, service = alone
    shoe, promotion = await capped(desk)
    quote: quote_pb2.Quote = await desk.quote((shoe, 1), profile_id=new_id("profile"))
    await restarted(service, desk, f"pricing.redeem.{step}=kill")
    order, named = new_id("order"), request_id()
    await lost(desk.redeem(quote, order, named))
    await revived(service, desk)
    assert await counts(installation, promotion) == (1, 0, 1, 0)
    assert minor((await desk.redeem(quote, order, named)).all_in) == 900
    assert await counts(installation, promotion) == (0, 1, 0, 1)
    assert (await desk.explain(quote)).redemption.order_id == order


@pytest.mark.parametrize("step", ["folded", "decided"])
async def test_a_kill_while_prices_are_learned_neither_loses_nor_repeats_an_outcome(
    alone: Alone, desk: Desk, step: str
) -> None:
    _, service = alone
    category = f"c{request_id()[:8]}"
    scope = authored_pb2.TermsScope(categories=[category])
    await desk.rule(f"learn-{category}", scope=scope, rank=5, learning=authored_pb2.LearningTerms(hold_visits=10))
    shoe = await desk.sold(1200, category=category)
    await desk.report(outcome(shoe, 1, "first", pricing_pb2.OUTCOME_KIND_BOUGHT))

    async def taken(turn: int) -> bool:
        found = await desk.learning(shoe)
        return found.turn == turn and not found.waiting

    await eventually(lambda: taken(1), timeout_s=20)
    await restarted(service, desk, f"pricing.learn.{step}=kill")
    shown = [outcome(shoe, 1, new_id("touchpoint"), pricing_pb2.OUTCOME_KIND_BOUGHT) for _ in range(20)]
    with suppress(RemoteError):
        await desk.report(*shown)
    await revived(service, desk)
    await desk.report(*shown)
    await eventually(lambda: taken(2), timeout_s=20)
    found = await desk.learning(shoe, refold=True)
    assert (found.shown, found.sold, found.refolds) == (21, 21, True)
