"""A person erased: fenced for ever, and nothing left of what they said."""

from __future__ import annotations

from typing import Any

import pytest
from consent_desk import Desk, ago, answers, profile, request_id, withdrawal
from consent_events import EventLog, Identity, merge, split
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.times import stamp
from rapport_testing.refusals import refused


def rows(desk: Desk, *ids: str) -> list[tuple[Any, ...]]:
    """All that the database holds about these ids, as the superuser sees it."""
    named = ", ".join(f"'{i}'" for i in ids)
    return desk.installation.postgres.execute(
        "SELECT kind, receipt_id, purpose_id, brand_id, occurred_at, expires_at, reask_not_before, details, change "
        f"FROM ledger WHERE named_id IN ({named}) ORDER BY position",
        desk.installation.database.name,
    )


async def test_erased_person_is_fenced_and_what_they_said_is_gone(desk: Desk) -> None:
    person, log = profile(), EventLog(desk.installation.broker())
    written = await desk.answer(person, "yes promo", "no stats")
    fenced = await desk.fence(person)
    assert len(fenced.entries) == 1
    assert [row[0] for row in rows(desk, person)] == ["blank", "blank", "fence"]
    assert all(row[1:] == (None, "", "", None, None, None, None, None) for row in rows(desk, person)[:2])
    event = (await log.until(fenced.token.position))[fenced.token.position]
    assert event.name == "fence_raised"
    assert [(fence.profile_id, fence.kind) for fence in event.change.fences] == [(person, ledger_pb2.FENCE_KIND_ERASED)]
    for purpose in ("promo", "order", "books", "stats"):
        assert await desk.verdict(person, purpose) == "DENY_FENCED ERASED"
        assert await desk.verdict(person, purpose, authority=True) == "DENY_FENCED ERASED"
    with refused("RECEIPT_NOT_FOUND"):
        await desk.shop.GetReceipt(consent_pb2.GetReceiptRequest(receipt_id=written.entries[0].receipt_id))
    state = desk.installation.postgres.execute(
        f"SELECT count(*) FROM subject_states WHERE profile_id = '{person}'", desk.installation.database.name
    )
    assert state == [(0,)]


async def test_nothing_is_recorded_or_told_of_an_erased_person(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes promo")
    await desk.fence(person)
    before = await desk.head()
    calls = [
        desk.shop.RecordConsent(answers(person, "yes promo")),
        desk.shop.WithdrawConsent(withdrawal(person)),
        desk.object_to(person),
        desk.shop.RecordSignal(
            consent_pb2.RecordSignalRequest(request_id=request_id(), profile_id=person, sec_gpc="1")
        ),
        desk.office.PlaceRestriction(
            consent_pb2.PlaceRestrictionRequest(request_id=request_id(), profile_id=person, ground="CLAIMS")
        ),
        desk.office.LiftRestriction(
            consent_pb2.LiftRestrictionRequest(
                request_id=request_id(), profile_id=person, subject_told_at=stamp(ago(days=1))
            )
        ),
        desk.state(person),
        desk.state(person, as_known_at=ago(days=1)),
    ]
    for call in calls:
        with refused("PROFILE_ERASED", "profile_id") as caught:
            await call  # type: ignore[misc]
        assert caught.value.reason.code == "NOT_FOUND"
    assert (await desk.head()).position == before.position


async def test_erased_rows_stay_in_the_list_as_bare_positions_with_their_fence(desk: Desk) -> None:
    before, person, other = await desk.head(), profile(), profile()
    await desk.answer(person, "yes promo")
    await desk.answer(other, "yes promo")
    await desk.answer(person, "no stats")
    await desk.fence(person)
    changes = await desk.changes(before.position)
    positions = [change.position for change in changes]
    assert positions == list(range(before.position + 1, before.position + 1 + len(positions)))
    fence_position = changes[3].position
    for change in (changes[0], changes[2]):
        assert (change.named_id, change.current_id) == (person, person)
        assert not change.subjects
        assert not change.purposes
        assert [(fence.profile_id, fence.position) for fence in change.fences] == [(person, fence_position)]
    assert changes[1].subjects[0].states[0].purpose_id == "promo"


async def test_erasure_repeated_raises_no_second_fence(desk: Desk) -> None:
    person = profile()
    await desk.fence(person)
    before = await desk.head()
    again = await desk.fence(person)
    assert list(again.entries) == []
    assert again.token.position == before.position


async def test_erasure_reaches_every_id_of_the_person(desk: Desk) -> None:
    one, other, log = profile(), profile(), EventLog(desk.installation.broker())
    await desk.answer(one, "yes promo")
    await desk.answer(other, "no stats")
    merged = merge(one, other)
    await Identity(desk.installation).publish(merged)
    await log.answer_to(merged.id)
    fenced = await desk.fence(other)
    assert len(fenced.entries) == 2
    assert fenced.current_profile_id == one
    for person in (one, other):
        assert await desk.verdict(person, "order") == "DENY_FENCED ERASED"
    assert sorted({row[0] for row in rows(desk, one, other)}) == ["blank", "fence", "merge"]


async def test_no_of_the_erased_that_counts_on_a_living_person_goes_on_counting(desk: Desk) -> None:
    one, other, log = profile(), profile(), EventLog(desk.installation.broker())
    identity = Identity(desk.installation)
    await desk.answer(other, "yes promo")
    merged, parted = merge(one, other), split(one, {one: [], other: []})
    await identity.publish(merged)
    await log.answer_to(merged.id)
    await desk.withdraw(one, "promo")  # said while the two were one: it counts on both sides
    await identity.publish(parted)
    await log.answer_to(parted.id)
    assert await desk.verdict(other, "promo") == "DENY WITHDRAWN"
    await desk.fence(one)
    assert await desk.verdict(other, "promo") == "DENY WITHDRAWN"
    assert await desk.verdict(other, "promo", authority=True) == "DENY WITHDRAWN"
    await desk.answer(other, "yes promo")
    assert await desk.verdict(other, "promo") == "PERMIT GRANTED"


@pytest.mark.parametrize("survivor_is_erased", [True, False])
async def test_profile_merged_with_an_erased_one_is_fenced_as_a_whole(desk: Desk, survivor_is_erased: bool) -> None:
    """The merge was on its way when the person was erased."""
    erased, living, log = profile(), profile(), EventLog(desk.installation.broker())
    await desk.answer(living, "yes promo")
    await desk.fence(erased)
    merged = merge(erased, living) if survivor_is_erased else merge(living, erased)
    await Identity(desk.installation).publish(merged)
    await log.answer_to(merged.id)
    for person in (erased, living):
        for purpose in ("order", "promo"):
            found = [await desk.verdict(person, purpose, authority=authority) for authority in (True, False)]
            assert found == ["DENY_FENCED ERASED"] * 2
    with refused("PROFILE_ERASED"):
        await desk.answer(living, "yes stats")
