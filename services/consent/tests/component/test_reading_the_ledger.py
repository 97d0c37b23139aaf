"""What the ledger tells: states on both axes, changes without a gap, a snapshot, and receipts that prove themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from consent_desk import Desk, ago, profile, verdict
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.signing import SigningKeys
from rapport_privacy.contents import Contents
from rapport_privacy.receipts import SignatureError, verify_receipt
from rapport_privacy.snapshot import SnapshotLoad
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

GRANTED, REFUSED, WITHDRAWN = (
    ledger_pb2.CONSENT_STATUS_GRANTED,
    ledger_pb2.CONSENT_STATUS_REFUSED,
    ledger_pb2.CONSENT_STATUS_WITHDRAWN,
)


def statuses(state: consent_pb2.ConsentState) -> dict[str, int]:
    return {each.purpose_id: each.status for each in state.states}


async def test_state_is_told_as_of_a_time_and_as_known_at_another(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes promo", at=ago(days=10))
    known_first = datetime.now(UTC)
    await desk.answer(person, "no promo", at=ago(days=4))
    known_then = datetime.now(UTC)
    await desk.answer(person, "yes promo", at=ago(days=7))  # heard of late

    assert statuses(await desk.state(person)) == {"promo": REFUSED}
    assert statuses(await desk.state(person, as_known_at=known_first)) == {"promo": GRANTED}
    assert statuses(await desk.state(person, as_of=ago(days=11))) == {}
    assert statuses(await desk.state(person, as_of=ago(days=5))) == {"promo": GRANTED}
    late = await desk.state(person, as_of=ago(days=5))
    early = await desk.state(person, as_of=ago(days=5), as_known_at=known_then)
    assert late.states[0].reference != early.states[0].reference
    assert statuses(await desk.state(person, as_known_at=ago(days=1))) == {}


async def test_memory_and_ledger_answer_alike(desk: Desk) -> None:
    """Every purpose and several histories, entry by entry."""
    people = [profile() for _ in range(6)]
    await desk.answer(people[1], "yes promo", "yes stats", "yes news north")
    await desk.answer(people[2], "no promo", "yes news south")
    await desk.withdraw(people[2], "news")
    await desk.object_to(people[3])
    await desk.answer(people[3], "yes news north")
    await desk.answer(people[4], "yes stats", at=ago(days=500))
    await desk.fence(people[5])
    questions = [
        consent_pb2.CheckEntry(profile_id=person, purpose_id=purpose, brand_id=brand)
        for person in people
        for purpose, brand in (
            ("news", "north"),
            ("news", "south"),
            ("promo", ""),
            ("stats", ""),
            ("health", ""),
            ("order", ""),
            ("books", ""),
            ("fraud", ""),
        )
    ]
    head = await desk.head()
    await desk.check(people[0], "order", at_least=head)  # the memory has come so far
    found = []
    for consistency in (consent_pb2.CONSISTENCY_BOUNDED, consent_pb2.CONSISTENCY_AUTHORITY):
        answer = await desk.shop.BatchCheckConsent(
            consent_pb2.BatchCheckConsentRequest(entries=questions, at_least=head, consistency=consistency)
        )
        for result in answer.results:
            for field in ("as_of", "staleness", "position"):
                result.decision.ClearField(field)
        found.append([(verdict(result.decision), result.decision) for result in answer.results])
    assert found[0] == found[1]
    assert len({each for each, _ in found[0]}) >= 6


async def test_changes_are_listed_without_a_gap_in_pages_of_any_size(desk: Desk) -> None:
    before = await desk.head()
    for _ in range(8):
        await desk.answer(profile(), "yes promo", "no stats")
    whole = await desk.changes(before.position)
    positions = [change.position for change in whole]
    assert positions == list(range(before.position + 1, before.position + len(positions) + 1))
    assert len(positions) >= 16
    assert {change.epoch for change in whole} == {before.epoch}
    assert (await desk.changes(before.position, page=3))[:16] == whole[:16]
    answer = await desk.shop.ListConsentEvents(consent_pb2.ListConsentEventsRequest(after_position=10**12))
    assert not answer.changes
    assert answer.head.position >= positions[-1]
    with refused("EPOCH_UNKNOWN", "epoch"):
        await desk.shop.ListConsentEvents(consent_pb2.ListConsentEventsRequest(epoch="another"))
    with refused("INVALID_REQUEST", "page_size"):
        await desk.shop.ListConsentEvents(consent_pb2.ListConsentEventsRequest(page_size=-1))


async def test_snapshot_is_the_fold_of_all_changes_up_to_its_position(desk: Desk) -> None:
    for purposes in (["yes promo"], ["no stats", "yes news north"]):
        await desk.answer(profile(), *purposes)
    load = SnapshotLoad()
    async for message in desk.shop.StreamSnapshot(consent_pb2.StreamSnapshotRequest()):
        load.take(message)
    load.complete()
    folded, fences = Contents(), set()
    for change in await desk.changes():
        if change.position <= load.position:
            folded.fold(change)
            fences |= {fence.profile_id for fence in change.fences}
    assert set(load.fences) == fences
    assert load.contents.purposes == folded.purposes
    assert living(load.contents, fences) == living(folded, fences)


def living(contents: Contents, fences: set[str]) -> dict[str, Any]:
    """Nothing is kept of the erased but their fence."""
    subjects = contents.subjects.items()
    return {i: subject for i, subject in subjects if i not in fences and subject.profile_id not in fences}


async def test_receipt_proves_itself_without_the_service(desk: Desk) -> None:
    person = profile()
    write = await desk.answer(person, "yes news north", market="DE")
    (row,) = write.entries
    receipt = await desk.shop.GetReceipt(consent_pb2.GetReceiptRequest(receipt_id=row.receipt_id))
    keys = (await desk.shop.ListSigningKeys(consent_pb2.ListSigningKeysRequest())).keys
    (key,) = [each for each in keys if each.kid == receipt.kid]
    told = verify_receipt(receipt.document, receipt.signature, key.public_key)
    assert (told["receipt_id"], told["record_id"], told["pii_principal_id"]) == (row.receipt_id, row.reference, person)
    (purpose,) = told["pii_processing"]["purposes"]
    assert (purpose["purpose"], purpose["brand"], purpose["lawful_basis"]) == ("news", "north", "consent")
    assert told["pii_processing"]["privacy_notice"]["notice_id"] == "welcome"
    assert told["evidence"]["kind"] == "captured"
    forged = receipt.document.replace(b'"granted"', b'"refused"')
    assert forged != receipt.document
    with pytest.raises(SignatureError):
        verify_receipt(forged, receipt.signature, key.public_key)


async def test_receipt_signed_before_a_rotation_goes_on_proving_itself(desk: Desk) -> None:
    write = await desk.answer(profile(), "no promo")
    request = consent_pb2.GetReceiptRequest(receipt_id=write.entries[0].receipt_id)
    before = await desk.shop.GetReceipt(request)
    new_kid = SigningKeys.load(desk.installation.folder / "own").rotate()

    async def signed_anew() -> consent_pb2.Receipt | None:
        receipt = await desk.shop.GetReceipt(request)
        return receipt if receipt.kid == new_kid else None

    after = await eventually(signed_anew)
    keys = {key.kid: key for key in (await desk.shop.ListSigningKeys(consent_pb2.ListSigningKeysRequest())).keys}
    for receipt in (before, after):
        told = verify_receipt(receipt.document, receipt.signature, keys[receipt.kid].public_key)
        assert told["receipt_id"] == request.receipt_id
    assert keys[before.kid].HasField("retired_at")
    assert not keys[new_kid].HasField("retired_at")
    assert json.loads(before.document) == json.loads(after.document)


async def test_receipt_that_does_not_exist_is_not_found(desk: Desk) -> None:
    with refused("RECEIPT_NOT_FOUND", "receipt_id") as caught:
        await desk.shop.GetReceipt(consent_pb2.GetReceiptRequest(receipt_id="rcp_" + "0" * 22))
    assert caught.value.reason.code == "NOT_FOUND"
