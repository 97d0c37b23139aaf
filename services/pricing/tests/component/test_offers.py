"""Offers to one customer: made with a permit, used once, taken back; and by chance not to everybody who may leave."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from pricing_desk import Desk
from pricing_installation import PERSONAL, PricingInstallation
from pricing_words import INDIVIDUAL, minor, promotion_terms, request_id, risk_cleared, risk_raised
from rapport.consent.v1 import events_pb2 as consent_pb2
from rapport.consent.v1 import ledger_pb2
from rapport.pricing.v1 import authored_pb2, events_pb2, pricing_pb2, quote_pb2
from rapport_chassis.events.envelope import event_of
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

SCOPE = authored_pb2.TermsScope(markets=["DE"])


async def told(
    installation: PricingInstallation, kind: type[events_pb2.OfferCreated | events_pb2.OfferExpired], *people: str
) -> list[events_pb2.Offer]:
    """Offers that were told of, once there is one for each of these people."""

    def complete(found: Sequence[events_pb2.OfferCreated | events_pb2.OfferExpired]) -> bool:
        return {each.offer.profile_id for each in found} == set(people)

    events = await installation.told(kind, lambda each: each.offer.profile_id in people, complete)
    return [each.offer for each in events]


@pytest.fixture
async def wanting(desk: Desk, installation: PricingInstallation) -> list[str]:
    """People who want personal prices."""
    people = [new_id("profile") for _ in range(12)]
    for each in people:
        await asyncio.to_thread(installation.ledger.grant, each, PERSONAL)
    await desk.until_known(installation.ledger)
    return people


async def test_an_offer_needs_a_permit_lowers_the_price_and_is_used_once(
    desk: Desk, installation: PricingInstallation, wanting: list[str]
) -> None:
    who, promotion = wanting[0], f"p{request_id()[:12]}"
    await desk.promote(promotion, promotion_terms(percent_ppm=250_000, audience=INDIVIDUAL, scope=SCOPE))
    with refused("PERSONAL_DENIED"):
        await desk.offer(new_id("profile"), promotion)
    with refused("PROMOTION_NOT_FOUND", "promotion_id"):
        await desk.offer(who, "nothing")
    record = await desk.offer(who, promotion)
    offer = record.offer
    assert (offer.state, offer.treatment, offer.basis_points) == (
        events_pb2.OFFER_STATE_OPEN,
        events_pb2.TREATMENT_TREATED,
        2500,
    )
    assert record.permission.reference
    shoe = await desk.sold(1000)
    assert minor((await desk.quote((shoe, 1))).gross) == 1000
    quotes = [await desk.quote((shoe, 1), profile_id=who) for _ in range(2)]
    assert [minor(each.gross) for each in quotes] == [750, 750]
    assert quotes[0].lines[0].components[1].kind == quote_pb2.COMPONENT_KIND_PERSONAL
    assert quotes[0].lines[0].components[1].reference == offer.offer_id
    assert (await desk.explain(quotes[0])).replayed
    assert minor((await desk.redeem(quotes[0])).all_in) == 750
    with refused("BUDGET_EXHAUSTED"):
        await desk.redeem(quotes[1])
    plain = await desk.quote((shoe, 1), profile_id=who)
    assert minor(plain.gross) == 1000
    assert (await desk.explain(quotes[1])).replayed
    (ended,) = await told(installation, events_pb2.OfferExpired, who)
    assert (ended.state, ended.version) == (events_pb2.OFFER_STATE_USED_UP, 2)
    why = await desk.explain(plain)
    assert why.personal == pricing_pb2.PERSONAL_OUTCOME_NOTHING_OFFERED
    assert [each.offer.state for each in why.offers] == [events_pb2.OFFER_STATE_USED_UP]
    assert await desk.offers(who, every=False) == []
    assert [(each.used, each.offer.offer_id) for each in await desk.offers(who)] == [(1, offer.offer_id)]


async def test_no_more_offers_are_made_than_a_promotion_has_uses(desk: Desk, wanting: list[str]) -> None:
    promotion = f"p{request_id()[:12]}"
    caps = authored_pb2.PromotionCaps(uses=2)
    await desk.promote(promotion, promotion_terms(audience=INDIVIDUAL, scope=SCOPE, caps=caps))
    for each in wanting[:2]:
        await desk.offer(each, promotion)
    with refused("BUDGET_EXHAUSTED"):
        await desk.offer(wanting[2], promotion)


async def test_an_offer_ends_at_its_time_and_when_the_customer_withdraws(
    desk: Desk, installation: PricingInstallation, wanting: list[str]
) -> None:
    brief, leaving = wanting[:2]
    soon = stamp(datetime.now(UTC) + timedelta(seconds=2))
    await desk.offer(brief, "winback", valid_until=soon)
    await desk.offer(leaving, "winback")
    await asyncio.to_thread(installation.ledger.withdraw, leaving, PERSONAL)
    ended = {each.profile_id: each.state for each in await told(installation, events_pb2.OfferExpired, brief, leaving)}
    assert ended == {
        brief: events_pb2.OFFER_STATE_LAPSED,
        leaving: events_pb2.OFFER_STATE_NOT_PERMITTED,
    }


async def test_a_risk_is_answered_by_an_offer_except_for_those_held_out_by_chance(
    desk: Desk, installation: PricingInstallation, wanting: list[str]
) -> None:
    broker, stranger = installation.broker(), new_id("profile")
    spared = wanting[0]
    events = [risk_raised(each, held_out=each == spared) for each in wanting]
    await broker.publish(risk_raised(stranger), *events)
    made = await told(installation, events_pb2.OfferCreated, *wanting)
    treatments = {each.profile_id: each.treatment for each in made}
    assert treatments[spared] == events_pb2.TREATMENT_HELD_OUT
    assert {each.cause_event_id for each in made} == {each.id for each in events}
    assert events_pb2.TREATMENT_TREATED in treatments.values()

    shoe = await desk.sold(1000)

    async def prices() -> dict[str, int] | None:
        quotes = {each: await desk.quote((shoe, 1), profile_id=each) for each in wanting}
        found = {who: minor(quote.gross) for who, quote in quotes.items()}
        return found if 800 in found.values() else None

    lowered = await eventually(prices, timeout_s=10)
    treated = {who for who, treatment in treatments.items() if treatment == events_pb2.TREATMENT_TREATED}
    assert {who for who, price in lowered.items() if price == 800} == treated
    assert set(lowered.values()) == {800, 1000}
    assert await desk.offers(stranger) == []
    shown = [each for each in wanting if await desk.offers(each, every=False)]
    assert set(shown) == treated

    # Raised again, cleared, and cleared long ago: no second offer, and the first is taken back.
    who = min(treated)
    await broker.publish(risk_raised(who, 2), risk_cleared(who, 3), risk_cleared(max(treated), 1))
    (ended,) = await told(installation, events_pb2.OfferExpired, who)
    assert ended.state == events_pb2.OFFER_STATE_WITHDRAWN
    await broker.publish(risk_raised(who, 4))
    assert len(await desk.offers(who)) == 1
    assert [each.offer.state for each in await desk.offers(max(treated - {who}))] == [events_pb2.OFFER_STATE_OPEN]


async def test_who_turns_out_to_be_one_keeps_one_offer_and_redemptions_follow_their_id_when_it_was_two(
    desk: Desk, installation: PricingInstallation, wanting: list[str]
) -> None:
    broker = installation.broker()
    shoe = await desk.sold(1000)
    await broker.publish(*(risk_raised(each) for each in wanting))
    made = {each.profile_id: each for each in await told(installation, events_pb2.OfferCreated, *wanting)}
    treated = [who for who, each in made.items() if each.treatment == events_pb2.TREATMENT_TREATED]
    one, other = treated[:2]
    await asyncio.to_thread(installation.ledger.merge, one, other)
    change = ledger_pb2.LedgerChange(
        epoch="e", position=1, named_id=one, current_id=one, recorded_at=stamp(datetime.now(UTC))
    )
    change.subjects.add(profile_id=one, redirect_ids=[other])
    merged = consent_pb2.ConsentsMerged(change=change, identity_event_id=new_id("event"))
    await broker.publish(event_of(merged, source="consent", occurred_at=datetime.now(UTC)))
    earlier = min((one, other), key=lambda who: made[who].valid_from.ToMicroseconds())
    (ended,) = await told(installation, events_pb2.OfferExpired, earlier)
    assert ended.state == events_pb2.OFFER_STATE_WITHDRAWN

    async def joined() -> bool:
        return (await desk.quote((shoe, 1), profile_id=other)).profile_id == one

    await eventually(joined, timeout_s=10)
    quote = await desk.quote((shoe, 1), profile_id=other)
    await desk.redeem(quote, profile_id=other)
    split = ledger_pb2.LedgerChange()
    split.CopyFrom(change)
    del split.subjects[:]
    split.subjects.add(profile_id=one)
    split.subjects.add(profile_id=other)
    apart = consent_pb2.ConsentsSplit(change=split, identity_event_id=new_id("event"))
    await broker.publish(event_of(apart, source="consent", occurred_at=datetime.now(UTC)))

    def moved(found: Sequence[events_pb2.QuoteRedeemed]) -> bool:
        return {(each.fact.profile_id, each.fact.owner_version) for each in found} == {(one, 1), (other, 2)}

    await installation.told(events_pb2.QuoteRedeemed, lambda each: each.quote_id == quote.quote_id, moved)
