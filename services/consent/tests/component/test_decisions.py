"""What is recorded, and what the service then answers: the same from memory and from the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from consent_desk import (
    CAPTURED,
    DECLARED,
    LASTING,
    REASK,
    Desk,
    ago,
    entry,
    profile,
    request_id,
    verdict,
)
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.times import stamp
from rapport_testing.refusals import refused


async def test_yes_permits_what_was_named_and_nothing_else(desk: Desk) -> None:
    person = profile()
    write = await desk.answer(person, "yes news north")
    (row,) = write.entries
    assert (row.purpose_id, row.brand_id, row.status) == ("news", "north", ledger_pb2.CONSENT_STATUS_GRANTED)
    assert row.position == write.token.position
    decision = await desk.check(person, "news", "north", at_least=write.token)
    assert verdict(decision) == "PERMIT GRANTED"
    assert (decision.reference, decision.notice_id, decision.notice_version) == (row.reference, "welcome", 1)
    assert decision.evidence == ledger_pb2.EVIDENCE_KIND_CAPTURED
    assert decision.position.position >= write.token.position
    assert decision.current_profile_id == person == write.current_profile_id
    assert await desk.verdict(person, "news", "south") == "DENY NO_DECISION"
    assert await desk.verdict(person, "promo") == "DENY NO_DECISION"


async def test_write_is_known_at_once_to_a_check_that_carries_its_token(desk: Desk) -> None:
    """Either the check knows it, or it says that it does not yet: never an answer of the time before."""
    person = profile()
    for turn in range(20):
        write = await (desk.withdraw(person, "promo") if turn % 2 else desk.answer(person, "yes promo"))
        request = consent_pb2.CheckConsentRequest(entry=entry(person, "promo"), at_least=write.token)
        decision = verdict(await desk.shop.CheckConsent(request))
        assert decision in ("DENY WITHDRAWN" if turn % 2 else "PERMIT GRANTED", "DENY_STALE TOKEN_UNMET")
        request.consistency = consent_pb2.CONSISTENCY_AUTHORITY
        decision = verdict(await desk.shop.CheckConsent(request))
        assert decision == ("DENY WITHDRAWN" if turn % 2 else "PERMIT GRANTED")


async def test_token_of_another_epoch_is_unmet(desk: Desk) -> None:
    head = await desk.head()
    head.epoch, head.position = "another", 1
    for consistency in (consent_pb2.CONSISTENCY_BOUNDED, consent_pb2.CONSISTENCY_AUTHORITY):
        request = consent_pb2.CheckConsentRequest(
            entry=entry(profile(), "order"), at_least=head, consistency=consistency
        )
        assert verdict(await desk.shop.CheckConsent(request)) == "DENY_STALE TOKEN_UNMET"


async def test_no_and_yes_taken_back_deny_with_their_reasons(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "no promo", "yes stats", "yes news north", "yes news south")
    assert await desk.verdict(person, "promo") == "DENY REFUSED"
    await desk.withdraw(person, "news", brand="north")
    assert await desk.verdict(person, "news", "north") == "DENY WITHDRAWN"
    assert await desk.verdict(person, "news", "south") == "PERMIT GRANTED"
    await desk.answer(person, "yes news north")
    await desk.withdraw(person, "news")
    assert await desk.verdict(person, "news", "north") == "DENY WITHDRAWN"
    assert await desk.verdict(person, "news", "south") == "DENY WITHDRAWN"
    assert await desk.verdict(person, "stats") == "PERMIT GRANTED"


async def test_withdrawing_without_naming_purposes_takes_back_all_that_rests_on_consent(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes promo", "yes stats", "yes news north")
    write = await desk.withdraw(person)
    assert {"news", "promo", "stats", "health", "mail"} <= {row.purpose_id for row in write.entries}
    assert not {"order", "books", "fraud"} & {row.purpose_id for row in write.entries}
    for purpose, brand in (("promo", ""), ("stats", ""), ("news", "north"), ("news", "south"), ("health", "")):
        assert await desk.verdict(person, purpose, brand) == "DENY WITHDRAWN"
    assert await desk.verdict(person, "order") == "PERMIT BASIS"


async def test_other_bases_permit_until_the_person_objects(desk: Desk) -> None:
    person = profile()
    for purpose in ("order", "books", "fraud"):
        assert await desk.verdict(person, purpose) == "PERMIT BASIS"
    await desk.object_to(person, "fraud", "order")
    assert await desk.verdict(person, "fraud") == "DENY OBJECTED"
    assert await desk.verdict(person, "order") == "PERMIT BASIS"  # a contract knows no objection


async def test_objection_to_direct_marketing_reaches_every_purpose_of_it_until_a_later_yes(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes promo", "yes news north", "yes stats")
    await desk.object_to(person)
    assert await desk.verdict(person, "promo") == "DENY OBJECTED"
    assert await desk.verdict(person, "news", "north") == "DENY OBJECTED"
    assert await desk.verdict(person, "news", "south") == "DENY OBJECTED"
    assert await desk.verdict(person, "stats") == "PERMIT GRANTED"
    await desk.answer(person, "yes promo", evidence=DECLARED)
    assert await desk.verdict(person, "promo") == "DENY OBJECTED"  # the operator's word lifts none
    await desk.answer(person, "yes news north")
    assert await desk.verdict(person, "news", "north") == "PERMIT GRANTED"
    assert await desk.verdict(person, "news", "south") == "DENY OBJECTED"


async def test_objection_at_one_brand_leaves_the_other_brands(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes news north", "yes news south", "yes promo")
    await desk.object_to(person, brand="north")
    assert await desk.verdict(person, "news", "north") == "DENY OBJECTED"
    assert await desk.verdict(person, "news", "south") == "PERMIT GRANTED"
    assert await desk.verdict(person, "promo") == "DENY OBJECTED"  # it has no brands: not objected to in part


@pytest.mark.parametrize("header", ["1", "1, 1"])
async def test_gpc_opts_out_of_what_names_it(desk: Desk, header: str) -> None:
    person = profile()
    await desk.answer(person, "yes promo", "yes stats")
    signal = consent_pb2.RecordSignalRequest(request_id=request_id(), profile_id=person, sec_gpc=header)
    answer = await desk.shop.RecordSignal(signal)
    assert answer.honoured
    assert [row.purpose_id for row in answer.write.entries] == ["stats"]
    assert await desk.verdict(person, "stats") == "DENY OPTED_OUT"
    assert await desk.verdict(person, "promo") == "PERMIT GRANTED"
    await desk.answer(person, "yes stats")
    assert await desk.verdict(person, "stats") == "PERMIT GRANTED"


@pytest.mark.parametrize("header", ["0", "", "true", " 1", "1 ", "11", "1;q=1"])
async def test_gpc_header_that_is_not_exactly_one_is_ignored(desk: Desk, header: str) -> None:
    person = profile()
    await desk.answer(person, "yes stats")
    signal = consent_pb2.RecordSignalRequest(request_id=request_id(), profile_id=person, sec_gpc=header)
    answer = await desk.shop.RecordSignal(signal)
    assert not answer.honoured
    assert not answer.HasField("write")
    assert await desk.verdict(person, "stats") == "PERMIT GRANTED"


@pytest.mark.parametrize("field", ["tcf", "gpp"])
async def test_signals_without_a_codec_are_refused(desk: Desk, field: str) -> None:
    signal = consent_pb2.RecordSignalRequest(request_id=request_id(), profile_id=profile(), **{field: "CPXxRfA"})  # type: ignore[arg-type]
    with refused("SIGNAL_UNSUPPORTED", field) as caught:
        await desk.shop.RecordSignal(signal)
    assert "CPXxRfA" not in str(caught.value)


async def test_restriction_stops_all_but_what_may_go_on_until_it_is_lifted(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes promo")
    placed = consent_pb2.PlaceRestrictionRequest(request_id=request_id(), profile_id=person, ground="ACCURACY_DISPUTED")
    await desk.office.PlaceRestriction(placed)
    assert await desk.verdict(person, "promo") == "DENY_FENCED RESTRICTED"
    assert await desk.verdict(person, "order") == "DENY_FENCED RESTRICTED"
    assert await desk.verdict(person, "books") == "PERMIT BASIS"
    assert (await desk.state(person)).restriction.ground == "ACCURACY_DISPUTED"
    await desk.answer(person, "yes stats")
    assert await desk.verdict(person, "stats") == "DENY_FENCED RESTRICTED"
    lift = consent_pb2.LiftRestrictionRequest(
        request_id=request_id(),
        profile_id=person,
        subject_told_at=stamp(datetime.now(UTC) + timedelta(hours=1)),
    )
    with refused("SUBJECT_NOT_TOLD", "subject_told_at"):
        await desk.office.LiftRestriction(lift)
    lift.subject_told_at.CopyFrom(stamp(ago(days=1)))
    await desk.office.LiftRestriction(lift)
    assert await desk.verdict(person, "promo") == "PERMIT GRANTED"
    assert not (await desk.state(person)).HasField("restriction")


async def test_grant_expires_as_its_purpose_says(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes stats", at=ago(days=LASTING.days + 1))
    assert await desk.verdict(person, "stats") == "DENY EXPIRED"
    granted = ago(days=10)
    write = await desk.answer(person, "yes stats", at=granted)
    decision = await desk.check(person, "stats", at_least=write.token)
    assert verdict(decision) == "PERMIT GRANTED"
    assert decision.expires_at == stamp(granted + LASTING)


async def test_who_said_no_is_not_asked_again_before_its_time(desk: Desk) -> None:
    person, refused_at = profile(), ago(days=3)
    write = await desk.answer(person, "no stats", at=refused_at)
    decision = await desk.check(person, "stats", at_least=write.token)
    assert decision.reask_not_before == stamp(refused_at + REASK)
    write = await desk.answer(person, "yes stats")
    decision = await desk.check(person, "stats", at_least=write.token)
    assert not decision.HasField("reask_not_before")


async def test_legally_later_decision_holds_whatever_the_order_of_recording(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "no promo", at=ago(days=1))
    await desk.answer(person, "yes promo", at=ago(days=2))
    assert await desk.verdict(person, "promo") == "DENY REFUSED"
    same = ago(hours=1)
    await desk.answer(person, "no promo", at=same)
    await desk.answer(person, "yes promo", at=same)
    assert await desk.verdict(person, "promo") == "DENY REFUSED"  # at equal times the more restrictive


@pytest.mark.parametrize(
    ("items", "fields", "reason", "path"),
    [
        (["yes news"], {}, "BRAND_REQUIRED", "items[0].brand_id"),
        (["yes news east"], {}, "BRAND_NOT_APPLICABLE", "items[0].brand_id"),
        (["yes promo", "yes health"], {}, "SEPARATE_CONSENT_BUNDLED", "items[1]"),
        (["yes mail"], {}, "CONFIRMATION_REQUIRED", "evidence.captured.confirmed_at"),
        (["yes health"], {"evidence": DECLARED}, "EVIDENCE_DECLARED_REFUSED", "items[0]"),
        (["yes promo"], {"notice_id": "", "notice_version": 0}, "NOTICE_REQUIRED", "notice_id"),
        (["yes promo"], {"locale": "en"}, "NOTICE_UNKNOWN", "notice_id"),
        (["yes promo"], {"notice_version": 99}, "NOTICE_UNKNOWN", "notice_id"),
        (["yes promo", "no promo"], {}, "ITEM_REPEATED", "items[1]"),
        (["yes promo"], {"at": datetime(2100, 1, 1, tzinfo=UTC)}, "OCCURRED_IN_FUTURE", "occurred_at"),
    ],
)
async def test_answer_against_the_rules_is_refused_and_leaves_nothing(
    desk: Desk, items: list[str], fields: dict[str, object], reason: str, path: str
) -> None:
    person, before = profile(), await desk.head()
    with refused(reason, path):
        await desk.answer(person, *items, **fields)
    assert (await desk.head()).position == before.position
    assert not (await desk.state(person)).states


async def test_bundle_is_recorded_whole_and_separate_consent_on_its_own(desk: Desk) -> None:
    person = profile()
    write = await desk.answer(person, "yes promo", "no stats", "yes news south")
    positions = [row.position for row in write.entries]
    assert positions == list(range(positions[0], positions[0] + 3))
    assert write.token.position == positions[-1]
    await desk.answer(person, "yes health")
    assert await desk.verdict(person, "health") == "PERMIT GRANTED"


async def test_double_opt_in_counts_once_confirmed(desk: Desk) -> None:
    person = profile()
    evidence = consent_pb2.Evidence()
    evidence.CopyFrom(CAPTURED)
    evidence.captured.confirmed_at.CopyFrom(stamp(ago(minutes=1)))
    await desk.answer(person, "yes mail", at=ago(minutes=5), evidence=evidence)
    assert await desk.verdict(person, "mail") == "PERMIT GRANTED"


async def test_declared_grant_says_so_in_every_check(desk: Desk) -> None:
    person = profile()
    write = await desk.answer(person, "yes promo", evidence=DECLARED)
    decision = await desk.check(person, "promo", at_least=write.token)
    assert verdict(decision) == "PERMIT GRANTED"
    assert decision.evidence == ledger_pb2.EVIDENCE_KIND_DECLARED


async def test_check_of_a_purpose_with_brands_must_name_one(desk: Desk) -> None:
    with refused("BRAND_REQUIRED", "brand_id"):
        await desk.check(profile(), "news")
    assert await desk.verdict(profile(), "news", "east") == "DENY NOT_APPLICABLE"


@pytest.mark.parametrize("authority", [False, True])
async def test_unknown_purpose_is_refused_with_near_names_and_denied_in_a_batch(desk: Desk, authority: bool) -> None:
    with refused("UNKNOWN_PURPOSE", "entry.purpose_id") as caught:
        await desk.check(profile(), "promos", authority=authority)
    assert caught.value.reason.code == "INVALID_ARGUMENT"
    assert "promo" in caught.value.metadata["near"].split(", ")
    person = profile()
    write = await desk.answer(person, "yes promo")
    batch = consent_pb2.BatchCheckConsentRequest(
        entries=[entry(person, "promos"), entry(person, "promo"), entry(person, "news")], at_least=write.token
    )
    if authority:
        batch.consistency = consent_pb2.CONSISTENCY_AUTHORITY
    else:
        await desk.check(person, "promo", at_least=write.token)
    unknown, known, unbranded = (await desk.shop.BatchCheckConsent(batch)).results
    assert verdict(unknown.decision) == "DENY_UNKNOWN UNKNOWN_PURPOSE"
    assert (known.status.code, verdict(known.decision)) == (0, "PERMIT GRANTED")
    assert unbranded.status.code == 3
    assert not unbranded.HasField("decision")
