"""A quote is used once, at the price promised or a lower one, and never beyond a promotion's caps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from pricing_desk import Desk
from pricing_installation import PricingInstallation, rows_of
from pricing_words import minor, name, only_for, product, promotion_terms, request_id
from rapport.pricing.v1 import authored_pb2, events_pb2, pricing_pb2
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp
from rapport_testing.prove import Scale
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually


def caps(**bounds: int) -> authored_pb2.PromotionCaps:
    return authored_pb2.PromotionCaps(**bounds)


async def test_a_quote_is_redeemed_once_and_told_without_revenue(desk: Desk, installation: PricingInstallation) -> None:
    shoe, who = await desk.sold(1190), new_id("profile")
    quote = await desk.quote((shoe, 3), profile_id=who, channel="web")
    order, named = new_id("order"), request_id()
    first = await desk.redeem(quote, order, named)
    assert (minor(first.all_in), first.settlement, first.order_id) == (
        3570,
        pricing_pb2.SETTLEMENT_AS_QUOTED,
        order,
    )
    assert await desk.redeem(quote, order, named) == first
    assert await desk.redeem(quote, order) == first
    with refused("QUOTE_REDEEMED"):
        await desk.redeem(quote)
    assert (await desk.explain(quote)).redemption == first
    (event,) = await installation.told(events_pb2.QuoteRedeemed, lambda each: each.quote_id == quote.quote_id)
    assert (event.fact.profile_id, event.source_event_id, list(event.decision_ids)) == (
        who,
        order,
        [quote.decision_id],
    )
    assert (minor(event.prices[0].list), minor(event.prices[0].quoted)) == (1190, 1190)


async def test_what_was_changed_made_for_another_or_is_over_is_refused_by_reason(desk: Desk) -> None:
    shoe, who = await desk.sold(1000), new_id("profile")
    quote = await desk.quote((shoe, 1), profile_id=who, channel="web")
    with refused("QUOTE_OTHER_CUSTOMER"):
        await desk.redeem(quote, profile_id=new_id("profile"))
    with refused("QUOTE_OTHER_CUSTOMER"):
        await desk.redeem(quote, profile_id="")
    with refused("QUOTE_OTHER_CHANNEL"):
        await desk.redeem(quote, channel="app")
    tampered = type(quote)()
    tampered.CopyFrom(quote)
    tampered.signed.document = quote.signed.document.replace(b"1000", b"1001")
    with refused("QUOTE_TAMPERED", "quote.signature"):
        await desk.redeem(tampered)
    tampered.CopyFrom(quote)
    tampered.signed.kid = "0" * 32
    with refused("QUOTE_TAMPERED"):
        await desk.redeem(tampered)
    assert minor((await desk.redeem(quote)).all_in) == 1000


async def test_a_quote_that_ran_out_is_refused(desk: Desk) -> None:
    await desk.declare("AT", quote_valid_for={"seconds": 1})
    made = await desk.put(product(markets=("AT",)))
    await desk.publish(made, 1000, market="AT")
    quote = await desk.quote((made, 1), market="AT")

    async def over() -> bool:
        later = await desk.quote((made, 1), market="AT")
        return bool(later.issued_at.ToMicroseconds() >= quote.expires_at.ToMicroseconds())

    await eventually(over, timeout_s=10)
    with refused("QUOTE_EXPIRED"):
        await desk.redeem(quote)


async def test_a_drop_is_passed_on_and_a_rise_refused_until_it_is_quoted_again(desk: Desk) -> None:
    shoe, sock = await desk.sold(10000), await desk.sold(1000)
    await desk.promote(name(), promotion_terms(percent_ppm=100_000, scope=only_for(shoe)))
    dropping, rising = await desk.quote((shoe, 1), (sock, 1)), await desk.quote((sock, 1))
    await desk.publish(shoe, 8000)
    paid = await desk.redeem(dropping)
    assert (minor(paid.all_in), paid.settlement) == (7200 + 1000, pricing_pb2.SETTLEMENT_DROPPED)
    assert [line.price_version for line in paid.lines] == [2, 1]
    await desk.publish(sock, 1001)
    with refused("PRICE_RISEN") as risen:
        await desk.redeem(rising)
    assert risen.value.metadata == {"quoted": "1000", "now": "1001"}
    assert minor((await desk.redeem(await desk.quote((sock, 1)))).all_in) == 1001


async def test_a_promotion_is_kept_as_promised_when_it_ends_before_the_order(desk: Desk) -> None:
    shoe = await desk.sold(1000)
    promotion = await desk.promote(name(), promotion_terms(scope=only_for(shoe)))
    quote = await desk.quote((shoe, 1))
    await desk.retire(promotion)
    assert minor((await desk.redeem(quote)).all_in) == 900
    assert minor((await desk.quote((shoe, 1))).gross) == 1000


async def test_a_use_is_held_by_a_quote_and_given_to_another_when_it_runs_out(desk: Desk) -> None:
    await desk.declare("BE", quote_valid_for={"seconds": 1})
    made = await desk.put(product(markets=("BE",)))
    await desk.publish(made, 1000, market="BE")
    scope = authored_pb2.TermsScope(product_ids=[made.product_id], markets=["BE"])
    await desk.promote(name(), promotion_terms(scope=scope, caps=caps(uses=1)))
    first = await desk.quote((made, 1), market="BE")
    assert (minor(first.gross), first.uses[0].reserved) == (900, True)
    assert minor((await desk.quote((made, 1), market="BE")).gross) == 1000

    async def free() -> Any:
        quote = await desk.quote((made, 1), market="BE")
        return quote if minor(quote.gross) == 900 else None

    second = await eventually(free, timeout_s=10)
    with refused("QUOTE_EXPIRED"):
        await desk.redeem(first)
    assert minor((await desk.redeem(second)).all_in) == 900
    assert minor((await desk.quote((made, 1), market="BE")).gross) == 1000


async def test_a_customer_gets_a_capped_promotion_as_often_as_allowed_and_nobody_unknown_does(desk: Desk) -> None:
    shoe, who = await desk.sold(1000), new_id("profile")
    promotion = name()
    await desk.promote(promotion, promotion_terms(scope=only_for(shoe), caps=caps(uses_each=1)))
    assert minor((await desk.quote((shoe, 1))).gross) == 1000
    first = await desk.quote((shoe, 1), profile_id=who)
    assert minor((await desk.redeem(first)).all_in) == 900
    second = await desk.quote((shoe, 1), profile_id=who)
    assert minor(second.gross) == 1000
    assert list((await desk.explain(second)).exhausted_promotion_ids) == [promotion]
    assert minor((await desk.quote((shoe, 1), profile_id=new_id("profile"))).gross) == 900


@pytest.mark.parametrize("bounds", [{"uses": 5}, {"budget_minor": 500}])
async def test_many_redeemers_at_once_never_overspend_a_cap(
    desk: Desk, installation: PricingInstallation, scale: Scale, bounds: dict[str, int]
) -> None:
    shoe, promotion = await desk.sold(1000), name()
    await desk.promote(promotion, promotion_terms(scope=only_for(shoe), caps=caps(**bounds)))

    async def buys() -> int:
        quote = await desk.quote((shoe, 1), profile_id=new_id("profile"))
        return minor((await desk.redeem(quote)).all_in)

    paid = await asyncio.gather(*(buys() for _ in range(scale.pick(small=16, full=64))))
    assert sorted(paid)[:5] == [900] * 5
    assert set(sorted(paid)[5:]) == {1000}
    found = await tally(installation, promotion)
    assert found == (0, 0, 5, 500)


async def tally(installation: PricingInstallation, promotion: str) -> tuple[Any, ...]:
    columns = "reserved_uses, reserved_amount, committed_uses, committed_amount"
    (row,) = await rows_of(installation, f"SELECT {columns} FROM tallies WHERE promotion_id = %s", [promotion])
    return row


async def test_outcomes_are_kept_once_however_often_and_late_they_come(desk: Desk) -> None:
    shoe = await desk.sold(1000)
    outcome = pricing_pb2.Outcome(
        exposure_id="view-1",
        product_id=shoe.product_id,
        market="DE",
        price_version=1,
        kind=pricing_pb2.OUTCOME_KIND_BOUGHT,
        quantity=1,
        occurred_at=stamp(datetime.now(UTC)),
    )
    outcomes = []
    for _ in range(3):
        outcome.outcome_id = new_id("touchpoint")
        copy = pricing_pb2.Outcome()
        copy.CopyFrom(outcome)
        outcomes.append(copy)

    async def report(*reported: pricing_pb2.Outcome) -> tuple[int, int]:
        answer = await desk.prices.ReportOutcome(
            pricing_pb2.ReportOutcomeRequest(request_id=request_id(), outcomes=reported)
        )
        return answer.recorded, answer.repeated_before

    assert await report(outcomes[1], outcomes[0], outcomes[1]) == (2, 1)
    assert await report(*outcomes) == (1, 2)
    assert await report(*outcomes) == (0, 3)
