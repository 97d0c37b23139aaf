"""Prices are learned while they sell: within the guardrails, once for every outcome, whatever is killed meanwhile."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from pricing_desk import Desk
from pricing_installation import PricingInstallation
from pricing_learning import BOUGHT, HOLD, NOT_BOUGHT, SEEN, history, learned, rate, season, settled
from pricing_words import minor, money, outcome, request_id
from rapport.identity.v1 import events_pb2 as identity_pb2
from rapport.identity.v1 import touchpoint_pb2
from rapport.pricing.v1 import authored_pb2, catalog_pb2, events_pb2, learning_pb2, pricing_pb2
from rapport_chassis.events.envelope import event_of
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually


async def test_a_price_walks_to_what_earns_more_within_the_guardrails_and_replays_bit_for_bit(desk: Desk) -> None:
    made = await learned(desk, 1200, 700)  # costs 8.33 with tax

    def chance(price: int) -> float:
        return 1 / (1 + math.exp((price - 1700) / 120))

    await season(desk, made, 10, chance)
    prices = [minor(each.gross) for each in await history(desk, made)]
    assert len(prices) > 4
    assert prices[-1] > 1200
    for before, after in pairwise(prices):
        assert 0.97 <= after / before <= 1.03
    assert {each.cause for each in (await history(desk, made))[1:]} == {events_pb2.PRICE_CAUSE_LEARNED}

    async def folded() -> Any:
        found = await desk.learning(made, refold=True)
        return found if found.shown == 10 * HOLD and not found.waiting else None

    found = await eventually(folded, timeout_s=20)
    assert found.refolds
    assert 0 < found.sold < found.shown
    terms = authored_pb2.PricePolicyTerms(rules=[rate("rate.still", authored_pb2.RULE_SIDE_EXACT, 100)])
    request = learning_pb2.ReplayPolicyRequest(product_id=made.product_id, market="DE", terms=terms)
    still = await desk.office.ReplayPolicy(request)
    assert (still.visits, still.changes_would_be, still.prices[-1].binding_rule) == (found.shown, 0, "rate.still")
    assert minor(still.contribution_would_be) < minor(still.contribution_was)
    assert len(await history(desk, made)) == len(prices)


async def test_a_price_that_is_paused_stays_and_one_that_is_pinned_goes_there_step_by_step(desk: Desk) -> None:
    made = await learned(desk, 1200, 700)

    async def steer(mode: learning_pb2.SteeringMode.ValueType, **fields: Any) -> learning_pb2.PriceLearning:
        return await desk.office.SteerPrice(
            learning_pb2.SteerPriceRequest(
                request_id=request_id(), product_id=made.product_id, market="DE", mode=mode, reason="sale", **fields
            )
        )

    async def sell(version: int, kind: pricing_pb2.OutcomeKind.ValueType) -> None:
        await desk.report(*(outcome(made, version, new_id("touchpoint"), kind) for _ in range(HOLD)))

    with refused("PRICE_INVALID", "pinned"):
        await steer(learning_pb2.STEERING_MODE_PINNED)
    await steer(learning_pb2.STEERING_MODE_PAUSED)
    await sell(1, BOUGHT)
    await settled(desk, made, 1)
    await sell(1, BOUGHT)

    async def counted() -> bool:
        found = await desk.learning(made)
        return found.shown == 2 * HOLD and not found.waiting

    await eventually(counted, timeout_s=20)
    assert len(await history(desk, made)) == 1
    assert (await steer(learning_pb2.STEERING_MODE_PINNED, pinned=money(1180))).pinned == money(1180)
    await settled(desk, made, 2)
    await sell((await history(desk, made))[-1].version, NOT_BOUGHT)
    prices = [minor(each.gross) for each in await history(desk, made)]
    assert prices == [1200, 1180]


async def test_who_saw_a_price_and_did_not_buy_in_time_counts_as_not_having_bought(
    desk: Desk, installation: PricingInstallation
) -> None:
    made = await learned(desk, 1200, 700, bought_within={"seconds": 1})
    quote = await desk.quote((made, 1))
    shown = [outcome(made, 1, f"view-{at}", SEEN) for at in range(3)]
    of_quote = outcome(made, 1, "unused", SEEN)
    of_quote.quote_id = quote.quote_id
    await desk.report(*shown, of_quote)
    unseen = await desk.quote((made, 1))
    await desk.redeem(quote)
    await desk.redeem(unseen)  # nobody reported that it was shown: it says nothing

    async def lapsed() -> Any:
        found = await desk.learning(made, refold=True)
        return found if found.shown == 4 and not found.waiting else None

    found = await eventually(lapsed, timeout_s=20)
    assert (found.sold, found.refolds) == (1, True)
    now = stamp(datetime.now(UTC))
    line = touchpoint_pb2.Line(
        item=touchpoint_pb2.Item(product_id=made.product_id), quantity=1, quote_id=quote.quote_id
    )
    touchpoint = touchpoint_pb2.Touchpoint(
        occurred_at=now,
        channel=touchpoint_pb2.CHANNEL_WEB,
        purpose_ids=["contract"],
        order_returned=touchpoint_pb2.OrderReturned(order_id=new_id("order"), lines=[line]),
    )
    told = identity_pb2.TouchpointRecorded(touchpoint=touchpoint, recorded_at=now)
    told.fact.fact_id, told.fact.profile_id, told.fact.owner_version = new_id("fact"), new_id("profile"), 1
    await installation.broker().publish(event_of(told, source="identity", occurred_at=datetime.now(UTC)))
    await desk.report(*(outcome(made, 1, f"view-{at}", BOUGHT) for at in (0, 1)))

    async def later() -> bool:
        found = await desk.learning(made, refold=True)
        return (found.shown, found.sold, found.refolds) == (4, 2, True)

    await eventually(later, timeout_s=20)


async def test_scarce_stock_raises_the_price_and_says_so(desk: Desk) -> None:
    made = await learned(desk, 1200, 700)
    now = datetime.now(UTC)
    await desk.office.UpdateInventory(
        catalog_pb2.UpdateInventoryRequest(
            request_id=request_id(),
            product_id=made.product_id,
            market="DE",
            quantity=5,
            expected_at=stamp(now + timedelta(days=30)),
            occurred_at=stamp(now),
        )
    )
    await desk.report(outcome(made, 1, new_id("touchpoint"), SEEN))
    await settled(desk, made, 1)
    await desk.report(*(outcome(made, 1, new_id("touchpoint"), BOUGHT) for _ in range(HOLD)))
    found = await settled(desk, made, 2)
    (_, raised) = await history(desk, made)
    assert (found.run_out, raised.cause, minor(raised.gross)) == (True, events_pb2.PRICE_CAUSE_STOCK, 1236)
