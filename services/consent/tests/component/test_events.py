"""Each ledger write is told to everyone: on the stream, once, what it changed first."""

from __future__ import annotations

from consent_desk import Desk, ago, answers, profile, request_id, terms
from consent_events import STREAM, EventLog
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.ids import partition
from rapport_chassis.times import stamp
from rapport_testing.refusals import refused

GPC = {"sec_gpc": "1"}


async def test_every_kind_of_write_arrives_with_its_change_first_and_no_position_is_missing(desk: Desk) -> None:
    log, person, erased, purpose = EventLog(desk.installation.broker()), profile(), profile(), f"own.{request_id()}"
    before = await desk.head()
    await desk.answer(person, "yes promo", "no stats")
    await desk.withdraw(person, "promo")
    await desk.shop.RecordSignal(consent_pb2.RecordSignalRequest(request_id=request_id(), profile_id=person, **GPC))  # type: ignore[arg-type]
    await desk.object_to(person)
    await desk.office.PlaceRestriction(
        consent_pb2.PlaceRestrictionRequest(request_id=request_id(), profile_id=person, ground="CLAIMS")
    )
    await desk.office.LiftRestriction(
        consent_pb2.LiftRestrictionRequest(
            request_id=request_id(), profile_id=person, subject_told_at=stamp(ago(minutes=1))
        )
    )
    await desk.fence(erased)
    await desk.draft(purpose, terms())
    await desk.activate(purpose)
    head = await desk.head()
    published = await log.until(head.position)
    names = [published[position].name for position in range(before.position + 1, head.position + 1)]
    assert names == [
        "consent_granted",
        "consent_withdrawn",
        "consent_withdrawn",
        "consent_withdrawn",
        "objection_recorded",
        "restriction_placed",
        "restriction_lifted",
        "fence_raised",
        "purpose_changed",
    ]
    listed = {change.position: change for change in await desk.changes(before.position)}
    for position, change in listed.items():
        event = published[position]
        assert event.change == change
        key = purpose if event.name == "purpose_changed" else change.current_id
        assert event.subject == f"rapport.consent.v1.{event.name}.{partition(key):02d}"
        assert not any(personal in event.subject for personal in (person, erased))


async def test_no_event_is_published_twice_and_each_position_once(desk: Desk) -> None:
    log = EventLog(desk.installation.broker())
    for _ in range(5):
        await desk.answer(profile(), "yes promo", "no stats", "yes news north")
    head = await desk.head()
    await log.until(head.position)
    events = await log.read()
    assert len({event.id for event in events}) == len(events)
    positions = [event.change.position for event in events]
    assert sorted(positions) == list(range(1, len(positions) + 1))


async def test_event_says_what_was_decided_and_carries_its_trace(desk: Desk) -> None:
    log, person, decided = EventLog(desk.installation.broker()), profile(), ago(days=2)
    write = await desk.answer(person, "no stats", at=decided)
    event = (await log.until(write.token.position))[write.token.position]
    assert (event.message.reference, event.message.purpose_id) == (write.entries[0].reference, "stats")
    assert event.message.status == ledger_pb2.CONSENT_STATUS_REFUSED
    assert event.message.occurred_at == stamp(decided)
    broker = desk.installation.broker()
    (stored,) = [each for each in await broker.stored(STREAM) if each.headers["ce-id"] == event.id]
    assert stored.headers["Nats-Msg-Id"] == event.id
    assert stored.headers["ce-type"].endswith("consent_withdrawn")
    assert stored.headers["traceparent"].startswith("00-")
    assert person not in "".join(f"{name}{value}" for name, value in stored.headers.items())


async def test_refused_request_publishes_nothing(desk: Desk) -> None:
    log = EventLog(desk.installation.broker())
    person, unknown = profile(), answers(profile(), "yes nothing.like-it")
    with refused("UNKNOWN_PURPOSE"):
        await desk.shop.RecordConsent(unknown)
    write = await desk.answer(person, "yes promo")
    published = await log.until(write.token.position)
    assert not any(event.change.named_id == unknown.profile_id for event in published.values())
