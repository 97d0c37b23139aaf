"""A privacy request from the form to the proof, through the public client, with real participants."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from consent_desk import request_id
from consent_events import Identity
from consent_privacy_desk import (
    COMPLETED,
    FIRST,
    SECOND,
    VERIFIED,
    PrivacyDesk,
    contest,
    created,
    open_privacy_desk,
    revive,
)
from consent_privacy_rig import PrivacyRig
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.type.date_pb2 import Date
from rapport.common.v1 import privacy_pb2 as common_pb2
from rapport.consent.v1 import consent_pb2, privacy_pb2
from rapport.consent.v1.privacy_request_pb2 import (
    PRIVACY_RIGHT_ACCESS,
    PRIVACY_RIGHT_ERASURE,
    PRIVACY_RIGHT_OBJECTION,
    SeenDocument,
)
from rapport_chassis.events.envelope import event_of
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp
from rapport_testing.prove import Scale
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.xdist_group("privacy")  # one worker starts what all of them share

KILLED_AT = (
    "freeze_identity.committing",
    "sealed",
    "fence.committing",
    "erase",
    "certify.committing",
    "close.committing",
)
"""In the order in which an erasure comes by."""


async def test_access_is_sealed_before_everything_is_erased_and_proven(
    privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig, tmp_path: Path
) -> None:
    email, (person, absorbed) = privacy_rig.somebody(ids=2)
    other_email, (other,) = privacy_rig.somebody()
    asked = await privacy_desk.verified(PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_ERASURE, email=email, profile_id=person)
    await privacy_desk.approve(asked)
    done = await privacy_desk.until(asked, COMPLETED)
    assert [each.outcome for each in done.rights] == ["DONE", "DONE"]
    assert sorted(done.closure_ids) == sorted([person, absorbed])
    assert privacy_rig.notes("identity", person, absorbed) == privacy_rig.notes("churn", person, absorbed) == 0
    assert privacy_rig.notes("identity", other) == 1
    assert privacy_rig.notes("churn", other) == 2
    assert await privacy_desk.fenced(person)
    assert await privacy_desk.fenced(absorbed)
    assert not await privacy_desk.fenced(other)
    with zipfile.ZipFile(await privacy_desk.download(asked, tmp_path / "package.zip")) as archive:
        held = b"".join(archive.read(name) for name in archive.namelist())
    assert email.encode() in held
    assert b"likes red" in held
    assert b"likes blue" in held
    assert other_email.encode() not in held
    certificate = await privacy_desk.first.GetErasureCertificate(
        privacy_pb2.GetErasureCertificateRequest(privacy_request_id=asked)
    )
    keys = await privacy_desk.ledger.ListSigningKeys(consent_pb2.ListSigningKeysRequest())
    (key,) = [each.public_key for each in keys.keys if each.kid == certificate.kid]
    Ed25519PublicKey.from_public_bytes(key).verify(certificate.signature, certificate.document)
    document = json.loads(certificate.document)
    assert {each["participant"]: each["outcome"] for each in document["answers"]} == {
        "identity": "DONE",
        "churn": "DONE",
        "archive": "NOTHING_HELD",
    }
    assert {each["outcome"] for each in document["probe"]} == {"NOTHING_HELD"}
    assert not any(each.encode() in certificate.document for each in (person, absorbed, email))


async def test_nobody_learns_from_the_form_who_is_a_customer(
    privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig
) -> None:
    email, (person,) = privacy_rig.somebody()
    known = await privacy_desk.create(PRIVACY_RIGHT_ACCESS, email=email)
    unknown = await privacy_desk.create(PRIVACY_RIGHT_ACCESS, email="nobody@example.com")
    await privacy_desk.code_to(person)
    wrong = [await privacy_desk.verify(each.privacy_request_id, 1) for each in (known, unknown)]
    assert [each.verified for each in wrong] == [False, False]
    for each in (known, unknown):
        each.ClearField("privacy_request_id")
        each.ClearField("received_at")
    assert known == unknown
    assert wrong[0].attempts_left == wrong[1].attempts_left == 4


async def test_a_code_is_good_for_few_attempts_and_one_use(privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig) -> None:
    email, (person,) = privacy_rig.somebody()
    asked = (await privacy_desk.create(PRIVACY_RIGHT_ACCESS, email=email)).privacy_request_id
    code = await privacy_desk.code_to(person)
    left = [(await privacy_desk.verify(asked, 1)).attempts_left for _ in range(5)]
    assert left == [4, 3, 2, 1, 0]
    assert not (await privacy_desk.verify(asked, code)).verified


async def test_whoever_is_not_known_is_told_that_nothing_is_held(privacy_desk: PrivacyDesk) -> None:
    asked = (await privacy_desk.create(PRIVACY_RIGHT_ERASURE, email="stranger@example.com")).privacy_request_id
    await privacy_desk.first.VerifyRequester(
        privacy_pb2.VerifyRequesterRequest(
            request_id=request_id(),
            privacy_request_id=asked,
            document=SeenDocument(kind="PASSPORT", seen_on=Date(year=2026, month=11, day=2)),
        )
    )
    await privacy_desk.approve(asked)
    done = await privacy_desk.until(asked, COMPLETED)
    assert [each.outcome for each in done.rights] == ["NOTHING_HELD"]


async def test_who_prepared_a_request_does_not_approve_it_and_nothing_unverified_is_approved(
    privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig
) -> None:
    asked = (
        await privacy_desk.first.CreateRequest(created(PRIVACY_RIGHT_ACCESS, email="a@example.com"))
    ).privacy_request_id
    with refused("REQUESTER_NOT_VERIFIED"):
        await privacy_desk.approve(asked)
    document = SeenDocument(kind="PASSPORT", seen_on=Date(year=2026, month=11, day=2))
    await privacy_desk.second.VerifyRequester(
        privacy_pb2.VerifyRequesterRequest(request_id=request_id(), privacy_request_id=asked, document=document)
    )
    with refused("SAME_ACTOR"):
        await privacy_desk.approve(asked)
    events = (await privacy_desk.first.ListAuditEvents(privacy_pb2.ListAuditEventsRequest(target=asked))).events
    assert [(each.actor, each.action.rpartition("/")[2], each.outcome) for each in events] == [
        (SECOND, "VerifyRequester", "allowed"),
        (FIRST, "CreateRequest", "allowed"),
    ]


async def test_one_request_runs_per_person_and_right(privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig) -> None:
    email, (person,) = privacy_rig.somebody()
    first = (
        await privacy_desk.shop.CreateRequest(created(email=email, rights=[contest(new_id("decision"))]))
    ).privacy_request_id
    await privacy_desk.login(first, person)
    await privacy_desk.approve(first)
    second = (
        await privacy_desk.shop.CreateRequest(created(email=email, rights=[contest(new_id("decision"))]))
    ).privacy_request_id
    await privacy_desk.login(second, person)
    with refused("DUPLICATE_REQUEST"):
        await privacy_desk.approve(second)


async def test_a_hold_keeps_its_records_and_its_release_wakes_the_erasure(
    privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig
) -> None:
    email, (person,) = privacy_rig.somebody()
    note = privacy_rig.note("churn", person, "owes us")
    hold = await privacy_desk.first.PlaceHold(
        privacy_pb2.PlaceHoldRequest(
            request_id=request_id(),
            profile_id=person,
            records=[common_pb2.HeldRecords(participant="churn", store="notes", record_ids=[note])],
            matter_id="case-7",
            ground="LEGAL_CLAIM",
            review_at=stamp(datetime.now(UTC) + timedelta(days=90)),
            reason="lawsuit",
        )
    )
    asked = await privacy_desk.verified(PRIVACY_RIGHT_ERASURE, email=email, profile_id=person)
    await privacy_desk.approve(asked)

    async def kept() -> bool:
        found = await privacy_desk.get(asked)
        erased = [each for each in found.tasks if each.kind == common_pb2.PRIVACY_TASK_KIND_ERASE]
        await privacy_desk.look_in_the_cellar(found)
        return len(erased) == 3 and all(each.HasField("answer") for each in erased)

    await eventually(kept, 60)
    waiting = await privacy_desk.held_up(asked, "HELD", "ERASE")
    assert privacy_rig.notes("churn", person) == 1
    assert not waiting.has_certificate
    await privacy_desk.second.ReleaseHold(
        privacy_pb2.ReleaseHoldRequest(request_id=request_id(), hold_id=hold.hold_id, reason="settled")
    )
    done = await privacy_desk.until(asked, COMPLETED)
    assert [each.outcome for each in done.rights] == ["DONE"]
    assert privacy_rig.notes("churn", person) == 0


async def test_an_objection_holds_as_soon_as_it_is_approved(privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig) -> None:
    email, (person,) = privacy_rig.somebody()
    asked = await privacy_desk.verified(PRIVACY_RIGHT_OBJECTION, email=email, profile_id=person)
    await privacy_desk.approve(asked)
    await privacy_desk.until(asked, COMPLETED)
    entry = consent_pb2.CheckEntry(profile_id=person, purpose_id="promo")
    answer = await privacy_desk.ledger.CheckConsent(
        consent_pb2.CheckConsentRequest(entry=entry, consistency=consent_pb2.CONSISTENCY_AUTHORITY)
    )
    assert answer.reason == consent_pb2.DECISION_REASON_OBJECTED


async def test_deadlines_say_how_they_were_reckoned_and_an_extension_counts_from_the_receipt(
    privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig
) -> None:
    email, (person,) = privacy_rig.somebody()
    received_at = datetime.now(UTC) - timedelta(days=2)
    asked = (
        await privacy_desk.create(PRIVACY_RIGHT_ACCESS, email=email, received_at=stamp(received_at))
    ).privacy_request_id
    await privacy_desk.login(asked, person)
    before = (await privacy_desk.get(asked)).deadlines[0]
    assert [step.code for step in before.steps][:2] == ["RECEIVED", "COUNTED"] or before.steps[
        1
    ].code == "SHORTER_MONTH"
    extended = await privacy_desk.second.ExtendRequest(
        privacy_pb2.ExtendRequestRequest(
            request_id=request_id(), privacy_request_id=asked, ground="COMPLEXITY", reason="five systems"
        )
    )
    (after,) = [each for each in extended.deadlines if each.right == PRIVACY_RIGHT_ACCESS]
    assert after.extended
    assert after.days_left > before.days_left + 55
    with refused("EXTENSION_NOT_ALLOWED"):
        await privacy_desk.second.ExtendRequest(
            privacy_pb2.ExtendRequestRequest(
                request_id=request_id(), privacy_request_id=asked, ground="COMPLEXITY", reason="again"
            )
        )


async def test_nobody_answers_for_a_participant_and_an_answer_that_comes_twice_counts_once(
    privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig
) -> None:
    email, (person,) = privacy_rig.somebody()
    asked = await privacy_desk.verified(PRIVACY_RIGHT_ERASURE, email=email, profile_id=person)
    privacy_rig.others.suspend()
    try:
        await privacy_desk.approve(asked)
        (task,) = (await privacy_desk.held_up(asked, "ANSWERS_MISSING", "FREEZE_IDENTITY")).tasks
        forged = common_pb2.PrivacyTaskCompleted(
            request_id=asked,
            task_id=task.task_id,
            participant="identity",
            kind=task.kind,
            outcome=common_pb2.PRIVACY_TASK_OUTCOME_DONE,
            completed_at=stamp(datetime.now(UTC)),
            kid="0" * 32,
            signature=bytes(64),
        )
        await Identity(privacy_rig.installation).publish(
            event_of(forged, source="identity", occurred_at=datetime.now(UTC))
        )
    finally:
        privacy_rig.others.resume()
    done = await privacy_desk.until(asked, COMPLETED)
    (answer,) = [each.answer for each in done.tasks if each.task_id == task.task_id]
    assert answer.kid != forged.kid
    assert privacy_rig.notes("churn", person) == 0
    again = [event_of(answer, source="identity", occurred_at=datetime.now(UTC)) for _ in range(2)]
    await Identity(privacy_rig.installation).publish(*again)
    assert (await privacy_desk.get(asked)).tasks == done.tasks


@pytest.mark.heavy
async def test_an_erasure_whose_coordinator_is_killed_again_and_again_reaches_its_end(
    privacy_rig: PrivacyRig, scale: Scale
) -> None:
    rig = privacy_rig
    email, (person,) = rig.somebody()
    killed_at = scale.pick(small=KILLED_AT[::2], full=KILLED_AT)
    async with open_privacy_desk(rig) as desk:
        asked = await desk.verified(PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_ERASURE, email=email, profile_id=person)
        await desk.until(asked, VERIFIED)
    await rig.restart(*(f"request.{where}=kill@1" for where in killed_at))
    async with open_privacy_desk(rig) as desk:
        await desk.approve(asked)
    for at in range(len(killed_at)):
        await revive(rig, *(f"request.{where}=kill@1" for where in killed_at[at + 1 :]), asked=asked)
    async with open_privacy_desk(rig) as desk:
        done = await desk.until(asked, COMPLETED)
    assert [each.outcome for each in done.rights] == ["DONE", "DONE"]
    assert rig.notes("churn", person) == 0
    asked_of = [(each.participant, each.kind, each.attempts) for each in done.tasks]
    assert len(set(asked_of)) == len(asked_of)
    assert done.has_package
    assert done.has_certificate
