"""Merges and splits of profiles, as identity tells of them: followed in any order, however often they are told."""

from __future__ import annotations

import pytest
from consent_desk import Desk, profile, request_id
from consent_events import EventLog, Identity, merge, split
from rapport.consent.v1 import consent_pb2


@pytest.fixture
async def identity(desk: Desk) -> Identity:
    """Identity's user at the broker."""
    await desk.until_serving("events")
    return Identity(desk.installation)


@pytest.fixture
async def log(desk: Desk) -> EventLog:
    """What consent publishes."""
    return EventLog(desk.installation.broker())


async def closure(desk: Desk, person: str) -> tuple[str, set[str]]:
    state = await desk.state(person)
    return state.current_profile_id, set(state.closure_ids)


def without_position(state: consent_pb2.ConsentState) -> consent_pb2.ConsentState:
    state.ClearField("position")
    return state


async def test_merge_joins_and_the_no_of_either_wins(desk: Desk, identity: Identity, log: EventLog) -> None:
    one, other = profile(), profile()
    await desk.answer(one, "yes promo", "yes stats")
    await desk.withdraw(other, "promo")
    merged = merge(one, other)
    await identity.publish(merged)
    followed = await log.answer_to(merged.id)
    assert (followed.name, followed.change.named_id, followed.change.current_id) == ("consents_merged", one, one)
    (subject,) = followed.change.subjects
    assert (subject.profile_id, subject.whole, list(subject.redirect_ids)) == (one, True, [other])
    for person in (one, other):
        assert await closure(desk, person) == (one, {one, other})
        assert await desk.verdict(person, "promo") == "DENY WITHDRAWN"
        assert await desk.verdict(person, "stats") == "PERMIT GRANTED"
        decision = await desk.check(person, "stats")
        assert decision.current_profile_id == one
    write = await desk.answer(other, "yes promo")
    assert write.current_profile_id == one
    assert await desk.verdict(one, "promo") == "PERMIT GRANTED"  # said after the two were joined


async def test_merge_then_split_restores_what_was(desk: Desk, identity: Identity, log: EventLog) -> None:
    one, other = profile(), profile()
    await desk.answer(one, "yes promo", "no stats")
    await desk.answer(other, "yes stats", "no news south", "no mail")
    before = [without_position(await desk.state(person)) for person in (one, other)]
    merged, parted = merge(one, other, version=2), split(one, {one: [], other: []}, version=3)
    await identity.publish(merged)
    await log.answer_to(merged.id)
    await identity.publish(parted)
    followed = await log.answer_to(parted.id)
    assert followed.name == "consents_split"
    assert {subject.profile_id for subject in followed.change.subjects} == {one, other}
    assert [without_position(await desk.state(person)) for person in (one, other)] == before


async def test_no_said_while_merged_counts_on_both_sides_of_a_split(
    desk: Desk, identity: Identity, log: EventLog
) -> None:
    one, other, issued = profile(), profile(), profile()
    await desk.answer(one, "yes promo")
    await desk.answer(other, "yes promo")
    merged = merge(one, other)
    await identity.publish(merged)
    await log.answer_to(merged.id)
    await desk.withdraw(one, "promo")
    parted = split(one, {one: [], other: [], issued: []}, issued=[issued])
    await identity.publish(parted)
    await log.answer_to(parted.id)
    for person in (one, other, issued):
        assert await desk.verdict(person, "promo") == "DENY WITHDRAWN"
    await desk.answer(other, "yes promo")
    assert await desk.verdict(other, "promo") == "PERMIT GRANTED"
    assert await desk.verdict(one, "promo") == "DENY WITHDRAWN"


async def test_events_told_twice_are_followed_once(desk: Desk, identity: Identity, log: EventLog) -> None:
    one, other = profile(), profile()
    merged = merge(one, other)
    first = await identity.publish(merged)
    await log.answer_to(merged.id)
    # As a relay does that died after the broker's answer and outlived its memory of duplicates.
    broker = desk.installation.broker()
    async with broker.api() as api:
        headers = {**merged.headers(), "Nats-Msg-Id": f"{merged.id}-again"}
        assert await api.publish(merged.subject, merged.payload(), headers) > first[0]
    later = merge(profile(), profile())
    await identity.publish(later)
    await log.answer_to(later.id)
    answers = [
        event
        for event in await log.read()
        if event.name == "consents_merged" and event.message.identity_event_id == merged.id
    ]
    assert len(answers) == 1


async def test_split_that_overtakes_its_merge_has_the_last_word(desk: Desk, identity: Identity, log: EventLog) -> None:
    one, other, third = profile(), profile(), profile()
    await desk.answer(one, "yes promo")
    await desk.withdraw(other, "promo")
    merged, parted = merge(one, other, third, version=2), split(one, {one: [third], other: []}, version=3)
    await identity.publish(parted)
    await log.answer_to(parted.id)
    await identity.publish(merged)
    followed = await log.answer_to(merged.id)  # told also where it changes nothing
    assert followed.name == "consents_merged"
    assert await closure(desk, third) == (one, {one, third})
    assert await closure(desk, other) == (other, {other})
    assert await desk.verdict(third, "promo") == "PERMIT GRANTED"
    assert await desk.verdict(other, "promo") == "DENY WITHDRAWN"


async def test_chain_of_merges_in_reverse_order_leads_every_id_to_the_last_survivor(
    desk: Desk, identity: Identity, log: EventLog
) -> None:
    ids = [profile() for _ in range(4)]
    await desk.object_to(ids[0])
    events = [merge(ids[n + 1], *ids[: n + 1], version=n + 2) for n in range(3)]
    await identity.publish(*reversed(events))
    for event in events:
        await log.answer_to(event.id)
    for person in ids:
        assert await closure(desk, person) == (ids[3], set(ids))
        assert await desk.verdict(person, "promo") == "DENY OBJECTED"


async def test_ids_without_any_row_are_followed_too(desk: Desk, identity: Identity, log: EventLog) -> None:
    """Participants wait for the position, whoever the person is."""
    one, other = profile(), profile()
    merged = merge(one, other)
    await identity.publish(merged)
    followed = await log.answer_to(merged.id)
    assert await closure(desk, other) == (one, {one, other})
    decision = await desk.check(other, "order", at_least=await desk.head())
    assert decision.current_profile_id == one
    assert followed.change.position <= decision.position.position


async def test_restriction_of_either_holds_for_both_while_merged(desk: Desk, identity: Identity, log: EventLog) -> None:
    one, other = profile(), profile()
    await desk.office.PlaceRestriction(
        consent_pb2.PlaceRestrictionRequest(request_id=request_id(), profile_id=other, ground="CLAIMS")
    )
    merged = merge(one, other)
    await identity.publish(merged)
    await log.answer_to(merged.id)
    assert await desk.verdict(one, "order") == "DENY_FENCED RESTRICTED"
    parted = split(one, {one: [], other: []})
    await identity.publish(parted)
    await log.answer_to(parted.id)
    assert await desk.verdict(one, "order") == "PERMIT BASIS"
    assert await desk.verdict(other, "order") == "DENY_FENCED RESTRICTED"
