"""A request sent again takes effect once, whenever and however often it comes."""

from __future__ import annotations

import asyncio

from consent_desk import OFFICE, SHOP, Desk, answers, profile, request_id, terms, withdrawal
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, purpose_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.refusals import refused


async def rows(desk: Desk, after: int, person: str) -> int:
    return sum(change.named_id == person for change in await desk.changes(after))


async def test_same_request_gets_the_same_answer_and_writes_nothing_more(desk: Desk) -> None:
    before, person = await desk.head(), profile()
    requests = [answers(person, "yes promo", "no stats"), withdrawal(person, "promo")]
    first = [await desk.shop.RecordConsent(requests[0]), await desk.shop.WithdrawConsent(requests[1])]  # type: ignore[arg-type]
    again = [await desk.shop.RecordConsent(requests[0]), await desk.shop.WithdrawConsent(requests[1])]  # type: ignore[arg-type]
    assert again == first
    assert await rows(desk, before.position, person) == 3
    assert await desk.verdict(person, "promo") == "DENY WITHDRAWN"


async def test_request_id_with_another_body_is_refused(desk: Desk) -> None:
    person = profile()
    request = answers(person, "yes promo")
    await desk.shop.RecordConsent(request)
    request.items[0].choice = consent_pb2.CONSENT_CHOICE_REFUSE
    with refused("REQUEST_ID_REUSED", "request_id"):
        await desk.shop.RecordConsent(request)
    assert await desk.verdict(person, "promo") == "PERMIT GRANTED"


async def test_request_id_belongs_to_one_method_and_one_caller(desk: Desk) -> None:
    person, shared = profile(), request_id()
    await desk.shop.RecordConsent(answers(person, "yes promo", request_id=shared))
    await desk.shop.WithdrawConsent(withdrawal(person, "promo", request_id=shared))
    before = await desk.head()
    client = desk.installation.client(OFFICE)
    try:
        other = client.stub(consent_pb2_grpc.ConsentServiceStub)
        await other.RecordConsent(answers(person, "yes promo", request_id=shared))
    finally:
        await client.close()
    assert await rows(desk, before.position, person) == 1


async def test_refused_request_may_be_sent_again_with_the_same_id(desk: Desk) -> None:
    person, shared = profile(), request_id()
    with refused("NOTICE_UNKNOWN"):
        await desk.shop.RecordConsent(answers(person, "yes promo", request_id=shared, notice_version=7))
    await desk.shop.RecordConsent(answers(person, "yes promo", request_id=shared))
    assert await desk.verdict(person, "promo") == "PERMIT GRANTED"


async def test_same_request_sent_many_times_at_once_takes_effect_once(desk: Desk) -> None:
    before, person = await desk.head(), profile()
    request = answers(person, "yes promo")

    outcomes = await asyncio.gather(*(desk.shop.RecordConsent(request) for _ in range(16)), return_exceptions=True)
    writes = [outcome for outcome in outcomes if isinstance(outcome, consent_pb2.LedgerWrite)]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, RemoteError)]
    assert len(writes) + len(refusals) == 16
    assert {error.reason.name for error in refusals} <= {"REQUEST_IN_PROGRESS"}
    assert all(error.retry_after_s for error in refusals)
    assert writes
    assert all(write == writes[0] for write in writes)
    assert await desk.shop.RecordConsent(request) == writes[0]
    assert await rows(desk, before.position, person) == 1


async def test_authored_things_are_repeated_as_safely(desk: Desk) -> None:
    purpose = f"own.{request_id()}"
    draft = purpose_pb2.UpsertPurposeRequest(request_id=request_id(), purpose_id=purpose, terms=terms())
    assert await desk.purposes.UpsertPurpose(draft) == await desk.purposes.UpsertPurpose(draft)
    activate = purpose_pb2.ActivatePurposeRequest(
        request_id=request_id(), purpose_id=purpose, version=1, reason="approved"
    )
    assert await desk.purposes.ActivatePurpose(activate) == await desk.purposes.ActivatePurpose(activate)
    publish = purpose_pb2.PublishNoticeRequest(
        request_id=request_id(), notice_id=purpose, locale="de", text="Text", purpose_ids=[purpose], reason="approved"
    )
    assert await desk.purposes.PublishNotice(publish) == await desk.purposes.PublishNotice(publish)
    listed = await desk.purposes.ListPurposes(purpose_pb2.ListPurposesRequest(purpose_id=purpose))
    assert len(listed.purposes) == 1


async def test_officer_s_acts_are_audited_once(desk: Desk) -> None:
    person = profile()
    request = consent_pb2.PlaceRestrictionRequest(request_id=request_id(), profile_id=person, ground="CLAIMS")
    first = await desk.office.PlaceRestriction(request)
    assert await desk.office.PlaceRestriction(request) == first
    installation = desk.installation
    found = installation.postgres.execute(
        f"SELECT actor, caller, reason, outcome FROM audit WHERE target = '{person}'", installation.database.name
    )
    assert found == [("officer-1", f"spiffe://rapport.local/{OFFICE}", "CLAIMS", "allowed")]
    await desk.shop.RecordConsent(answers(person, "yes promo"))
    by_shop = installation.postgres.execute(
        f"SELECT count(*) FROM audit WHERE caller LIKE '%/{SHOP}'", installation.database.name
    )
    assert by_shop == [(0,)]


async def test_each_act_of_an_officer_names_what_it_was_about(desk: Desk) -> None:
    person, purpose = profile(), f"own.{request_id()}"
    await desk.draft(purpose, terms())
    await desk.activate(purpose)
    await desk.publish(purpose, "Text", purpose)
    await desk.purposes.RetirePurpose(
        purpose_pb2.RetirePurposeRequest(request_id=request_id(), purpose_id=purpose, reason="replaced")
    )
    await desk.office.RecordSignal(
        consent_pb2.RecordSignalRequest(request_id=request_id(), profile_id=person, sec_gpc="1")
    )
    await desk.office.WithdrawConsent(withdrawal(person))
    await desk.fence(person)
    assert audited(desk, purpose) == ["UpsertPurpose", "ActivatePurpose", "PublishNotice", "RetirePurpose"]
    assert audited(desk, person) == ["RecordSignal", "WithdrawConsent", "RaiseFence"]
    assert audited(desk, "") == []


def audited(desk: Desk, target: str) -> list[str]:
    found = desk.installation.postgres.execute(
        f"SELECT action FROM audit WHERE target = '{target}' ORDER BY position", desk.installation.database.name
    )
    return [str(action).rsplit("/", maxsplit=1)[-1] for (action,) in found]
