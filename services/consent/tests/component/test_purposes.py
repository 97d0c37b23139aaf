"""Purposes and notices as their authors have them: drafted, put in force by an operator, taken out of force."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from consent_desk import Desk, ago, profile, request_id, terms, verdict
from google.protobuf.field_mask_pb2 import FieldMask
from rapport.consent.v1 import consent_pb2, purpose_pb2
from rapport_chassis.times import stamp
from rapport_testing.refusals import refused

DRAFT, ACTIVE, RETIRED = (
    purpose_pb2.VERSION_STATE_DRAFT,
    purpose_pb2.VERSION_STATE_ACTIVE,
    purpose_pb2.VERSION_STATE_RETIRED,
)


def a_purpose() -> str:
    """A purpose that nobody else uses."""
    return f"own.{request_id()}"


def retire(purpose_id: str) -> purpose_pb2.RetirePurposeRequest:
    return purpose_pb2.RetirePurposeRequest(request_id=request_id(), purpose_id=purpose_id, reason="obsolete")


async def test_purpose_takes_effect_once_an_operator_activates_it(desk: Desk) -> None:
    purpose, person = a_purpose(), profile()
    drafted = await desk.draft(purpose, terms(purpose_pb2.LEGAL_BASIS_CONTRACT))
    assert (drafted.version, drafted.state, drafted.HasField("active_from")) == (1, DRAFT, False)
    with refused("UNKNOWN_PURPOSE"):
        await desk.check(person, purpose, authority=True)
    decided = await desk.activate(purpose)
    assert (decided.purpose.state, decided.purpose.decided_by, decided.purpose.reason) == (
        ACTIVE,
        "officer-1",
        "approved",
    )
    decision = await desk.check(person, purpose, at_least=decided.token)
    assert (verdict(decision), decision.purpose_version) == ("PERMIT BASIS", 1)


async def test_retired_purpose_denies_and_may_come_back_in_a_new_version(desk: Desk) -> None:
    purpose, person = a_purpose(), profile()
    await desk.draft(purpose, terms())
    await desk.activate(purpose)
    await desk.publish(purpose, "Text", purpose)
    await desk.answer(person, f"yes {purpose}", notice_id=purpose)
    assert await desk.verdict(person, purpose) == "PERMIT GRANTED"
    await desk.purposes.RetirePurpose(retire(purpose))
    assert await desk.verdict(person, purpose) == "DENY PURPOSE_INACTIVE"
    assert await desk.verdict(person, purpose, authority=True) == "DENY PURPOSE_INACTIVE"
    with refused("PURPOSE_INACTIVE"):
        await desk.answer(person, f"yes {purpose}", notice_id=purpose)
    with refused("VERSION_STATE_INVALID"):
        await desk.purposes.RetirePurpose(retire(purpose))
    await desk.withdraw(person, purpose)  # a no needs no purpose in force
    assert (await desk.draft(purpose, terms())).version == 2
    await desk.activate(purpose, 2)
    assert await desk.verdict(person, purpose) == "DENY WITHDRAWN"


async def test_version_takes_effect_at_its_time_and_not_in_the_past(desk: Desk) -> None:
    purpose = a_purpose()
    await desk.draft(purpose, terms(purpose_pb2.LEGAL_BASIS_CONTRACT))
    request = purpose_pb2.ActivatePurposeRequest(
        request_id=request_id(), purpose_id=purpose, version=1, active_from=stamp(ago(days=1)), reason="approved"
    )
    with refused("INVALID_REQUEST", "active_from"):
        await desk.purposes.ActivatePurpose(request)
    soon = datetime.now(UTC) + timedelta(days=1)
    request.active_from.CopyFrom(stamp(soon))
    decided = await desk.purposes.ActivatePurpose(request)
    decision = await desk.check(profile(), purpose, at_least=decided.token)
    assert verdict(decision) == "DENY PURPOSE_INACTIVE"


async def test_version_in_force_is_never_changed_and_no_other_can_be_activated(desk: Desk) -> None:
    purpose = a_purpose()
    await desk.draft(purpose, terms())
    await desk.activate(purpose)
    with refused("VERSION_STATE_INVALID"):
        await desk.activate(purpose)
    with refused("VERSION_NOT_FOUND"):
        await desk.activate(purpose, 2)
    with refused("TERMS_INVALID", "terms.brand_scoped"):
        await desk.draft(purpose, terms(brand_scoped=True))


async def test_named_fields_of_the_latest_version_are_changed(desk: Desk) -> None:
    purpose = a_purpose()
    await desk.draft(purpose, terms(separate=True, markets=["DE"]))
    changed = await desk.purposes.UpsertPurpose(
        purpose_pb2.UpsertPurposeRequest(
            request_id=request_id(),
            purpose_id=purpose,
            terms=purpose_pb2.PurposeTerms(bases=[purpose_pb2.BasisRule(basis=1)], markets=["FR", "DE"]),  # type: ignore[arg-type]
            update_mask=FieldMask(paths=["markets"]),
        )
    )
    assert changed.version == 2
    assert changed.terms.separate
    assert list(changed.terms.markets) == ["DE", "FR"]


async def test_list_comes_in_pages_without_gap_or_repetition(desk: Desk) -> None:
    purpose = a_purpose()
    for _ in range(5):
        await desk.draft(purpose, terms())
    await desk.activate(purpose, 2)
    request = purpose_pb2.ListPurposesRequest(page_size=2, purpose_id=purpose)
    versions = []
    while True:
        page = await desk.purposes.ListPurposes(request)
        assert len(page.purposes) <= 2
        versions += [each.version for each in page.purposes]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert versions == [1, 2, 3, 4, 5]
    request.state = ACTIVE
    with refused("PAGE_TOKEN_INVALID", "page_token"):
        await desk.purposes.ListPurposes(request)
    active = await desk.purposes.ListPurposes(purpose_pb2.ListPurposesRequest(purpose_id=purpose, state=ACTIVE))
    assert [each.version for each in active.purposes] == [2]
    with refused("INVALID_REQUEST", "page_size"):
        await desk.purposes.ListPurposes(purpose_pb2.ListPurposesRequest(page_size=-1))
    with refused("PAGE_TOKEN_INVALID", "page_token"):
        await desk.purposes.ListPurposes(purpose_pb2.ListPurposesRequest(page_token="forged"))


async def test_notice_keeps_the_exact_words_and_their_hash(desk: Desk) -> None:
    notice, text = a_purpose(), "Dürfen wir …?\r\n  Ja\u0301 ✓ <b>&amp;</b>"
    published = await desk.publish(notice, text, "promo", "stats", brand_id="north")
    assert published.version == 1
    assert published.sha256 == sha256(text.encode()).digest()
    assert published.published_by == "officer-1"
    read = await desk.purposes.GetNotice(purpose_pb2.GetNoticeRequest(notice_id=notice, version=1, locale="de"))
    assert read == published
    assert read.text == text


async def test_notice_is_never_answered_in_another_language(desk: Desk) -> None:
    notice = a_purpose()
    await desk.publish(notice, "Eins", "promo")
    await desk.publish(notice, "Two", "promo", locale="en")
    await desk.publish(notice, "Drei", "promo")

    async def text(version: int, locale: str) -> str:
        request = purpose_pb2.GetNoticeRequest(notice_id=notice, version=version, locale=locale)
        return (await desk.purposes.GetNotice(request)).text

    assert (await text(0, "de"), await text(1, "de"), await text(0, "en")) == ("Drei", "Eins", "Two")
    for version, locale in ((2, "de"), (1, "en"), (0, "fr"), (9, "de")):
        with refused("NOTICE_NOT_FOUND"):
            await text(version, locale)
    person = profile()
    with refused("NOTICE_UNKNOWN", "notice_id"):
        await desk.answer(person, "yes promo", notice_id=notice, notice_version=2, locale="de")
    await desk.answer(person, "yes promo", notice_id=notice, notice_version=2, locale="en")


async def test_notice_must_speak_of_what_is_granted(desk: Desk) -> None:
    notice = a_purpose()
    await desk.publish(notice, "Nord", "news", brand_id="north")
    with refused("NOTICE_DOES_NOT_COVER", "items[0]"):
        await desk.answer(profile(), "yes news south", notice_id=notice)
    with refused("NOTICE_DOES_NOT_COVER", "items[0]"):
        await desk.answer(profile(), "yes promo", notice_id=notice)
    await desk.answer(profile(), "yes news north", notice_id=notice)
    with refused("UNKNOWN_PURPOSE", "purpose_ids[1]"):
        await desk.publish(notice, "?", "news", "nothing.like-it")


async def test_basis_depends_on_category_and_market(desk: Desk) -> None:
    purpose, person = a_purpose(), profile()
    rules = terms(purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST, markets=["DE", "US"])
    rules.bases.add(basis=purpose_pb2.LEGAL_BASIS_CONSENT, market="DE")
    rules.bases.add(basis=purpose_pb2.LEGAL_BASIS_CONSENT, data_category="behaviour")
    await desk.draft(purpose, rules)
    await desk.activate(purpose)
    for authority in (False, True):
        assert await desk.verdict(person, purpose, authority=authority) == "DENY NOT_APPLICABLE"
        assert await desk.verdict(person, purpose, market="US", authority=authority) == "PERMIT BASIS"
        assert await desk.verdict(person, purpose, market="US-CA", authority=authority) == "PERMIT BASIS"
        assert await desk.verdict(person, purpose, market="DE-BY", authority=authority) == "DENY NO_DECISION"
        by_category = await desk.verdict(person, purpose, market="US", data_category="behaviour", authority=authority)
        assert by_category == "DENY NO_DECISION"
        assert await desk.verdict(person, purpose, market="FR", authority=authority) == "DENY NOT_APPLICABLE"


async def test_activation_is_a_ledger_write_with_a_position(desk: Desk) -> None:
    purpose = a_purpose()
    await desk.draft(purpose, terms())
    before = await desk.head()
    decided = await desk.activate(purpose)
    assert decided.token.position > before.position
    (change,) = [each for each in await desk.changes(before.position) if each.named_id == purpose]
    assert change.position == decided.token.position
    assert [(state.purpose_id, len(state.rules)) for state in change.purposes] == [(purpose, 1)]
    request = consent_pb2.CheckConsentRequest(
        entry=consent_pb2.CheckEntry(profile_id=profile(), purpose_id=purpose), at_least=decided.token
    )
    request.consistency = consent_pb2.CONSISTENCY_AUTHORITY
    assert verdict(await desk.shop.CheckConsent(request)) == "DENY NO_DECISION"
