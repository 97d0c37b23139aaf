"""A privacy request from the form to the proof, through the public client, with real participants."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import pytest
from consent_desk import profile, refused, request_id
from consent_events import Identity
from consent_privacy_desk import (
    COMPLETED,
    FIRST,
    SECOND,
    VERIFIED,
    PrivacyDesk,
    PrivacyRig,
    created,
    open_privacy_desk,
    running_privacy_rig,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.type.date_pb2 import Date
from rapport.common.v1 import privacy_pb2 as common_pb2
from rapport.consent.v1 import consent_pb2, privacy_pb2
from rapport.consent.v1.privacy_request_pb2 import (
    PRIVACY_RIGHT_ACCESS,
    PRIVACY_RIGHT_CONTEST,
    PRIVACY_RIGHT_ERASURE,
    PRIVACY_RIGHT_OBJECTION,
    RightAsked,
    SeenDocument,
)
from rapport_chassis.events.envelope import event_of
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp
from rapport_privacy.certificates import verify_certificate
from rapport_privacy.packages import verify_package
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.xdist_group("privacy")  # one worker starts what all of them share

BY_HAND = {"name": "archive", "kind": "MANUAL", "owner": "records office", "instruction": "Look in the cellar."}
KILLED_AT = (
    "freeze_identity.committing",
    "sealed",
    "fence.committing",
    "erase",
    "certify.committing",
    "close.committing",
)
"""In the order in which an erasure comes by."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivacyRig]:
    with running_privacy_rig(tmp_path_factory.mktemp("privacy"), more=[BY_HAND]) as made:
        yield made


@pytest.fixture
async def desk(rig: PrivacyRig) -> AsyncIterator[PrivacyDesk]:
    async with open_privacy_desk(rig) as made:
        yield made


def somebody(rig: PrivacyRig, *, ids: int = 1) -> tuple[str, list[str]]:
    """Somebody whom identity knows by an address, and churn by two notes."""
    email, people = f"{new_id('record').lower()}@example.com", [profile() for _ in range(ids)]
    for each in people:
        rig.note("identity", each, email)
    rig.note("churn", people[0], "likes red")
    rig.note("churn", people[-1], "likes blue")
    return email, people


async def test_access_is_sealed_before_everything_is_erased_and_proven(desk: PrivacyDesk, rig: PrivacyRig) -> None:
    email, (person, absorbed) = somebody(rig, ids=2)
    other_email, (other,) = somebody(rig)
    asked = await desk.verified(PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_ERASURE, email=email, profile_id=person)
    await desk.approve(asked)
    done = await desk.until(asked, COMPLETED)
    assert [each.outcome for each in done.rights] == ["DONE", "DONE"]
    assert sorted(done.closure_ids) == sorted([person, absorbed])
    assert rig.notes("identity", person, absorbed) == rig.notes("churn", person, absorbed) == 0
    assert rig.notes("identity", other) == 1
    assert rig.notes("churn", other) == 2
    assert await desk.fenced(person)
    assert await desk.fenced(absorbed)
    assert not await desk.fenced(other)
    archive = zipfile.ZipFile(io.BytesIO(await download(desk, asked)))
    held = b"".join(archive.read(name) for name in archive.namelist())
    assert email.encode() in held
    assert b"likes red" in held
    assert b"likes blue" in held
    assert other_email.encode() not in held
    certificate = await desk.first.GetErasureCertificate(
        privacy_pb2.GetErasureCertificateRequest(privacy_request_id=asked)
    )
    keys = await desk.ledger.ListSigningKeys(consent_pb2.ListSigningKeysRequest())
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


async def test_what_is_handed_out_is_verified_by_whoever_has_it_and_fetched_by_a_link(
    desk: PrivacyDesk, rig: PrivacyRig, tmp_path: Path
) -> None:
    email, (person,) = somebody(rig)
    asked = await desk.verified(PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_ERASURE, email=email, profile_id=person)
    await desk.approve(asked)
    await desk.until(asked, COMPLETED)
    listed = await desk.ledger.ListSigningKeys(consent_pb2.ListSigningKeysRequest())
    keys = {each.kid: each.public_key for each in listed.keys}
    link = await desk.first.GetPackageLink(privacy_pb2.GetPackageLinkRequest(privacy_request_id=asked))
    status, content = await asyncio.to_thread(fetch, rig, link.link)
    assert status == 200
    assert content == await download(desk, asked)
    (tmp_path / "package.zip").write_bytes(content)
    package = verify_package(tmp_path / "package.zip", keys)
    assert package.manifest["request_id"] == asked
    assert (await asyncio.to_thread(fetch, rig, link.link[:-6] + "AAAAAA"))[0] in (400, 403, 404)
    certificate = await desk.first.GetErasureCertificate(
        privacy_pb2.GetErasureCertificateRequest(privacy_request_id=asked)
    )
    fields = verify_certificate(
        certificate.document,
        certificate.signature,
        keys[certificate.kid],
        log_proof=certificate.log_proof,
        log_keys=list(keys.values()),
    )
    assert certificate.log_proof
    assert fields["request_id"] == asked
    assert certificate.pdf.startswith(b"%PDF-")


def fetch(rig: PrivacyRig, path: str) -> tuple[int, bytes]:
    """Fetch something without a login."""
    address = (rig.installation.folder / "http.address").read_text(encoding="ascii")
    connection = HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


async def download(desk: PrivacyDesk, asked: str) -> bytes:
    request = privacy_pb2.DownloadPackageRequest(privacy_request_id=asked)
    return b"".join([chunk.data async for chunk in desk.first.DownloadPackage(request)])


async def test_nobody_learns_from_the_form_who_is_a_customer(desk: PrivacyDesk, rig: PrivacyRig) -> None:
    email, (person,) = somebody(rig)
    known = await desk.create(PRIVACY_RIGHT_ACCESS, email=email)
    unknown = await desk.create(PRIVACY_RIGHT_ACCESS, email="nobody@example.com")
    await desk.code_to(person)
    wrong = [await desk.verify(each.privacy_request_id, 1) for each in (known, unknown)]
    assert [each.verified for each in wrong] == [False, False]
    for each in (known, unknown):
        each.ClearField("privacy_request_id")
        each.ClearField("received_at")
    assert known == unknown
    assert wrong[0].attempts_left == wrong[1].attempts_left == 4


async def test_a_code_is_good_for_few_attempts_and_one_use(desk: PrivacyDesk, rig: PrivacyRig) -> None:
    email, (person,) = somebody(rig)
    asked = (await desk.create(PRIVACY_RIGHT_ACCESS, email=email)).privacy_request_id
    code = await desk.code_to(person)
    left = [(await desk.verify(asked, 1)).attempts_left for _ in range(5)]
    assert left == [4, 3, 2, 1, 0]
    assert not (await desk.verify(asked, code)).verified


async def test_whoever_is_not_known_is_told_that_nothing_is_held(desk: PrivacyDesk) -> None:
    asked = (await desk.create(PRIVACY_RIGHT_ERASURE, email="stranger@example.com")).privacy_request_id
    await desk.first.VerifyRequester(
        privacy_pb2.VerifyRequesterRequest(
            request_id=request_id(),
            privacy_request_id=asked,
            document=SeenDocument(kind="PASSPORT", seen_on=Date(year=2026, month=11, day=2)),
        )
    )
    await desk.approve(asked)
    done = await desk.until(asked, COMPLETED)
    assert [each.outcome for each in done.rights] == ["NOTHING_HELD"]


async def test_who_prepared_a_request_does_not_approve_it_and_nothing_unverified_is_approved(
    desk: PrivacyDesk, rig: PrivacyRig
) -> None:
    asked = (await desk.first.CreateRequest(created(PRIVACY_RIGHT_ACCESS, email="a@example.com"))).privacy_request_id
    with refused("REQUESTER_NOT_VERIFIED"):
        await desk.approve(asked)
    document = SeenDocument(kind="PASSPORT", seen_on=Date(year=2026, month=11, day=2))
    await desk.second.VerifyRequester(
        privacy_pb2.VerifyRequesterRequest(request_id=request_id(), privacy_request_id=asked, document=document)
    )
    with refused("SAME_ACTOR"):
        await desk.approve(asked)
    events = (await desk.first.ListAuditEvents(privacy_pb2.ListAuditEventsRequest(target=asked))).events
    assert [(each.actor, each.action.rpartition("/")[2], each.outcome) for each in events] == [
        (SECOND, "VerifyRequester", "allowed"),
        (FIRST, "CreateRequest", "allowed"),
    ]


async def test_one_request_runs_per_person_and_right(desk: PrivacyDesk, rig: PrivacyRig) -> None:
    email, (person,) = somebody(rig)
    first = (await desk.shop.CreateRequest(created(email=email, rights=[contest()]))).privacy_request_id
    await login(desk, first, person)
    await desk.approve(first)
    second = (await desk.shop.CreateRequest(created(email=email, rights=[contest()]))).privacy_request_id
    await login(desk, second, person)
    with refused("DUPLICATE_REQUEST"):
        await desk.approve(second)


def contest() -> RightAsked:
    return RightAsked(right=PRIVACY_RIGHT_CONTEST, decision_id=new_id("decision"))


async def login(desk: PrivacyDesk, asked: str, person: str) -> None:
    await desk.shop.VerifyRequester(
        privacy_pb2.VerifyRequesterRequest(request_id=request_id(), privacy_request_id=asked, login_profile_id=person)
    )


async def test_a_hold_keeps_its_records_and_its_release_wakes_the_erasure(desk: PrivacyDesk, rig: PrivacyRig) -> None:
    email, (person,) = somebody(rig)
    note = rig.note("churn", person, "owes us")
    hold = await desk.first.PlaceHold(
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
    asked = await desk.verified(PRIVACY_RIGHT_ERASURE, email=email, profile_id=person)
    await desk.approve(asked)

    async def kept() -> bool:
        found = await desk.get(asked)
        erased = [each for each in found.tasks if each.kind == common_pb2.PRIVACY_TASK_KIND_ERASE]
        await desk.look_in_the_cellar(found)
        return len(erased) == 3 and all(each.HasField("answer") for each in erased)

    await eventually(kept, 60)
    waiting = await desk.held_up(asked, "HELD", "ERASE")
    assert rig.notes("churn", person) == 1
    assert not waiting.has_certificate
    await desk.second.ReleaseHold(
        privacy_pb2.ReleaseHoldRequest(request_id=request_id(), hold_id=hold.hold_id, reason="settled")
    )
    done = await desk.until(asked, COMPLETED)
    assert [each.outcome for each in done.rights] == ["DONE"]
    assert rig.notes("churn", person) == 0


async def test_an_objection_holds_as_soon_as_it_is_approved(desk: PrivacyDesk, rig: PrivacyRig) -> None:
    email, (person,) = somebody(rig)
    asked = await desk.verified(PRIVACY_RIGHT_OBJECTION, email=email, profile_id=person)
    await desk.approve(asked)
    await desk.until(asked, COMPLETED)
    entry = consent_pb2.CheckEntry(profile_id=person, purpose_id="promo")
    answer = await desk.ledger.CheckConsent(
        consent_pb2.CheckConsentRequest(entry=entry, consistency=consent_pb2.CONSISTENCY_AUTHORITY)
    )
    assert answer.reason == consent_pb2.DECISION_REASON_OBJECTED


async def test_deadlines_say_how_they_were_reckoned_and_an_extension_counts_from_the_receipt(
    desk: PrivacyDesk, rig: PrivacyRig
) -> None:
    email, (person,) = somebody(rig)
    received_at = datetime.now(UTC) - timedelta(days=2)
    asked = (await desk.create(PRIVACY_RIGHT_ACCESS, email=email, received_at=stamp(received_at))).privacy_request_id
    await login(desk, asked, person)
    before = (await desk.get(asked)).deadlines[0]
    assert [step.code for step in before.steps][:2] == ["RECEIVED", "COUNTED"] or before.steps[
        1
    ].code == "SHORTER_MONTH"
    extended = await desk.second.ExtendRequest(
        privacy_pb2.ExtendRequestRequest(
            request_id=request_id(), privacy_request_id=asked, ground="COMPLEXITY", reason="five systems"
        )
    )
    (after,) = [each for each in extended.deadlines if each.right == PRIVACY_RIGHT_ACCESS]
    assert after.extended
    assert after.days_left > before.days_left + 55
    with refused("EXTENSION_NOT_ALLOWED"):
        await desk.second.ExtendRequest(
            privacy_pb2.ExtendRequestRequest(
                request_id=request_id(), privacy_request_id=asked, ground="COMPLEXITY", reason="again"
            )
        )


async def test_nobody_answers_for_a_participant_and_an_answer_that_comes_twice_counts_once(
    desk: PrivacyDesk, rig: PrivacyRig
) -> None:
    email, (person,) = somebody(rig)
    asked = await desk.verified(PRIVACY_RIGHT_ERASURE, email=email, profile_id=person)
    rig.others.suspend()
    try:
        await desk.approve(asked)
        (task,) = (await desk.held_up(asked, "ANSWERS_MISSING", "FREEZE_IDENTITY")).tasks
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
        await Identity(rig.installation).publish(event_of(forged, source="identity", occurred_at=datetime.now(UTC)))
    finally:
        rig.others.resume()
    done = await desk.until(asked, COMPLETED)
    (answer,) = [each.answer for each in done.tasks if each.task_id == task.task_id]
    assert answer.kid != forged.kid
    assert rig.notes("churn", person) == 0
    again = [event_of(answer, source="identity", occurred_at=datetime.now(UTC)) for _ in range(2)]
    await Identity(rig.installation).publish(*again)
    assert (await desk.get(asked)).tasks == done.tasks


@pytest.mark.heavy
async def test_an_erasure_whose_coordinator_is_killed_again_and_again_reaches_its_end(
    rig: PrivacyRig, scale: Scale
) -> None:
    email, (person,) = somebody(rig)
    killed_at = scale.pick(small=KILLED_AT[::2], full=KILLED_AT)
    async with open_privacy_desk(rig) as desk:
        asked = await desk.verified(PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_ERASURE, email=email, profile_id=person)
        await desk.until(asked, VERIFIED)
    await rig.restart(*(f"request.{where}=kill@1" for where in killed_at))
    async with open_privacy_desk(rig) as desk:
        await desk.approve(asked)
    for at in range(len(killed_at)):
        await rig.revive(*(f"request.{where}=kill@1" for where in killed_at[at + 1 :]), asked=asked)
    async with open_privacy_desk(rig) as desk:
        done = await desk.until(asked, COMPLETED)
    assert [each.outcome for each in done.rights] == ["DONE", "DONE"]
    assert rig.notes("churn", person) == 0
    asked_of = [(each.participant, each.kind, each.attempts) for each in done.tasks]
    assert len(set(asked_of)) == len(asked_of)
    assert done.has_package
    assert done.has_certificate
