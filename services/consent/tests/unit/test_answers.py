"""What may be recorded of a person's answers, and what is refused, with its reason and field."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rapport_chassis.errors import RapportError
from rapport_consent.domain.answers import Answer, Answers, PastDecision, draft_answers, draft_import
from rapport_consent.domain.evidence import CapturedEvidence, DeclaredEvidence, ImportedEvidence
from rapport_consent.domain.notices import Notice
from rapport_consent.domain.purposes import BasisRule, Purpose, PurposeTerms, PurposeVersion
from rapport_consent.domain.rows import RowKind
from rapport_privacy.vocabulary import Basis, Status

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CONSENT = (BasisRule(Basis.CONSENT),)
CAPTURED = CapturedEvidence("checkout/step-2")
IMPORTED = ImportedEvidence("old-crm", NOW, bytes(32))
DECLARED = DeclaredEvidence("store-card")
NOTICE = Notice(
    "welcome", 3, "de", "…", bytes(32), frozenset({"news", "stats", "health", "trial", "mail"}), "north", NOW, "mia"
)


def purpose(purpose_id: str, active_from: datetime = NOW - timedelta(days=900), **terms: Any) -> Purpose:
    version = PurposeVersion(2, active_from, PurposeTerms(terms.pop("bases", CONSENT), **terms))
    return Purpose(purpose_id, (version,))


PURPOSES = {
    p.purpose_id: p
    for p in (
        purpose("news", brand_scoped=True, brand_ids=frozenset({"north", "south"}), markets=frozenset({"DE", "US"})),
        purpose("stats", expires_after=timedelta(days=365), reask_after=timedelta(days=180)),
        purpose("health", separate=True),
        purpose("trial", explicit=True),
        purpose("mail", double_opt_in=True),
        purpose("soon", active_from=NOW + timedelta(days=1)),
        replace(purpose("gone"), retired=True),
        Purpose("drafted"),
    )
}


def answers(*items: str, **fields: Any) -> Answers:
    """Answers in words such as "yes news north" or "no stats"."""
    split = [item.split() for item in items]
    parsed = tuple(Answer(words[1], words[2] if len(words) > 2 else "", grants=words[0] == "yes") for words in split)
    given = {"evidence": CAPTURED, "notice_id": "welcome", "notice_version": 3, "locale": "de", **fields}
    return Answers(parsed, **given)


def refusal(given: Answers, notice: Notice | None = NOTICE, production: bool = False) -> tuple[str, str]:
    with pytest.raises(RapportError) as caught:
        draft_answers(given, notice, PURPOSES, now=NOW, production=production)
    return caught.value.reason.name, caught.value.fields[0].path


def test_each_answer_becomes_a_row_with_its_terms() -> None:
    granted, refused = draft_answers(
        answers("yes stats", "no news south", market="DE"), NOTICE, PURPOSES, now=NOW, production=True
    )
    assert (granted.kind, granted.purpose_id, granted.brand_id) == (RowKind.GRANT, "stats", "")
    assert (granted.expires_at, granted.reask_not_before) == (NOW + timedelta(days=365), None)
    assert (granted.notice_id, granted.notice_version, granted.locale, granted.market) == ("welcome", 3, "de", "DE")
    assert (granted.purpose_version, granted.evidence) == (2, CAPTURED)
    assert (refused.kind, refused.purpose_id, refused.brand_id) == (RowKind.REFUSE, "news", "south")
    assert refused.expires_at is None


def test_refusal_is_not_asked_again_for_the_time_in_the_terms() -> None:
    earlier = NOW - timedelta(days=2)
    (row,) = draft_answers(answers("no stats", occurred_at=earlier), NOTICE, PURPOSES, now=NOW, production=True)
    assert (row.occurred_at, row.reask_not_before) == (earlier, earlier + timedelta(days=180))


def test_draft_takes_a_position_with_all_it_holds() -> None:
    (draft,) = draft_answers(answers("yes stats", market="US"), NOTICE, PURPOSES, now=NOW, production=True)
    row = draft.at(7, recorded_at=NOW, reference="cev_7", named_id="prf_a", receipt_id="rcp_7")
    assert (row.position, row.reference, row.named_id, row.receipt_id, row.recorded_at) == (
        (7, "cev_7", "prf_a", "rcp_7", NOW)
    )
    for name in draft._fields:
        assert getattr(row, name) == getattr(draft, name)


@pytest.mark.parametrize(
    ("given", "reason", "field"),
    [
        (answers("yes stats", "yes nwes"), "UNKNOWN_PURPOSE", "items[1].purpose_id"),
        (answers("yes soon"), "PURPOSE_INACTIVE", "items[0].purpose_id"),
        (answers("yes gone"), "PURPOSE_INACTIVE", "items[0].purpose_id"),
        (answers("yes drafted"), "PURPOSE_INACTIVE", "items[0].purpose_id"),
        (answers("yes news"), "BRAND_REQUIRED", "items[0].brand_id"),
        (answers("yes stats north"), "BRAND_NOT_APPLICABLE", "items[0].brand_id"),
        (answers("yes news east"), "BRAND_NOT_APPLICABLE", "items[0].brand_id"),
        (answers("yes news north", market="FR"), "MARKET_NOT_APPLICABLE", "market"),
        (answers("yes stats", "no stats"), "ITEM_REPEATED", "items[1]"),
        (answers("no stats", "yes health"), "SEPARATE_CONSENT_BUNDLED", "items[1]"),
        (answers("yes mail"), "CONFIRMATION_REQUIRED", "evidence.captured.confirmed_at"),
        (answers("yes news south"), "NOTICE_DOES_NOT_COVER", "items[0]"),
        (answers("yes stats", locale="fr"), "NOTICE_UNKNOWN", "notice_id"),
        (answers("yes trial", evidence=DECLARED), "EVIDENCE_DECLARED_REFUSED", "items[0]"),
        (answers("yes health", evidence=DECLARED), "EVIDENCE_DECLARED_REFUSED", "items[0]"),
        (answers("yes mail", evidence=DECLARED), "EVIDENCE_DECLARED_REFUSED", "items[0]"),
        (answers("no stats", occurred_at=NOW + timedelta(minutes=6)), "OCCURRED_IN_FUTURE", "occurred_at"),
    ],
)
def test_answers_against_the_rules_are_refused(given: Answers, reason: str, field: str) -> None:
    assert refusal(given) == (reason, field)


def test_near_names_are_told_and_the_name_asked_for_is_not_repeated() -> None:
    with pytest.raises(RapportError) as caught:
        draft_answers(answers("yes stast"), NOTICE, PURPOSES, now=NOW, production=False)
    assert caught.value.metadata == {"near": "stats"}
    assert "stast" not in str(caught.value)


def test_captured_grant_needs_a_notice_that_covers_it_and_a_refusal_needs_none() -> None:
    bare = {"notice_id": "", "notice_version": 0, "locale": ""}
    assert refusal(answers("yes stats", **bare), notice=None) == ("NOTICE_REQUIRED", "notice_id")
    assert refusal(answers("yes stats"), notice=None) == ("NOTICE_UNKNOWN", "notice_id")
    assert refusal(answers("yes stats"), replace(NOTICE, purpose_ids=frozenset({"news"})))[0] == "NOTICE_DOES_NOT_COVER"
    assert draft_answers(answers("no stats", **bare), None, PURPOSES, now=NOW, production=True)
    assert draft_answers(answers("yes stats", evidence=IMPORTED, **bare), None, PURPOSES, now=NOW, production=True)
    no_brand = replace(NOTICE, brand_id="")
    assert draft_answers(answers("yes news south"), no_brand, PURPOSES, now=NOW, production=True)


def test_declared_evidence_is_refused_in_production() -> None:
    declared = answers("yes stats", evidence=DECLARED)
    assert refusal(declared, production=True) == ("EVIDENCE_DECLARED_REFUSED", "evidence.declared")
    (row,) = draft_answers(declared, NOTICE, PURPOSES, now=NOW, production=False)
    assert row.evidence == DECLARED


def test_separate_consent_is_recorded_on_its_own_and_may_be_refused_in_a_bundle() -> None:
    assert draft_answers(answers("yes health"), NOTICE, PURPOSES, now=NOW, production=True)
    assert draft_answers(answers("no health", "yes stats"), NOTICE, PURPOSES, now=NOW, production=True)


def test_confirmation_must_follow_the_answer() -> None:
    given = answers("yes mail", occurred_at=NOW - timedelta(hours=2))
    confirmed = replace(CAPTURED, confirmed_at=NOW - timedelta(hours=1))
    assert draft_answers(replace(given, evidence=confirmed), NOTICE, PURPOSES, now=NOW, production=True)
    early = replace(CAPTURED, confirmed_at=NOW - timedelta(hours=3))
    assert refusal(replace(given, evidence=early))[0] == "CONFIRMATION_REQUIRED"
    future = replace(CAPTURED, confirmed_at=NOW + timedelta(hours=3))
    assert refusal(replace(given, evidence=future)) == ("OCCURRED_IN_FUTURE", "evidence.captured.confirmed_at")


def test_clock_that_is_a_little_ahead_means_now() -> None:
    given = answers("yes stats", occurred_at=NOW + timedelta(minutes=5))
    assert draft_answers(given, NOTICE, PURPOSES, now=NOW, production=True)[0].occurred_at == NOW


def test_market_may_lie_inside_a_country_named() -> None:
    assert draft_answers(answers("yes news north", market="US-CA"), NOTICE, PURPOSES, now=NOW, production=True)


def past(status: Status, purpose_id: str = "stats", brand_id: str = "", **fields: Any) -> PastDecision:
    return PastDecision(purpose_id, brand_id, status, **{"occurred_at": NOW - timedelta(days=700), **fields})


def test_past_decision_keeps_its_time_and_its_proof() -> None:
    row = draft_import(past(Status.GRANTED), IMPORTED, None, PURPOSES, now=NOW)
    assert (row.kind, row.evidence) == (RowKind.GRANT, IMPORTED)
    assert row.expires_at == NOW - timedelta(days=700 - 365)
    assert draft_import(past(Status.OBJECTED), IMPORTED, None, PURPOSES, now=NOW).kind is RowKind.OBJECT


@pytest.mark.parametrize(
    ("decision", "reason", "field"),
    [
        (past(Status.GRANTED, "nothing"), "UNKNOWN_PURPOSE", "purpose_id"),
        (past(Status.GRANTED, "gone"), "PURPOSE_INACTIVE", "purpose_id"),
        (past(Status.GRANTED, "news"), "BRAND_REQUIRED", "brand_id"),
        (past(Status.GRANTED, "news", "east"), "BRAND_NOT_APPLICABLE", "brand_id"),
        (past(Status.REFUSED, notice_id="older", notice_version=1), "NOTICE_UNKNOWN", "notice_id"),
        (past(Status.WITHDRAWN, occurred_at=NOW + timedelta(days=1)), "OCCURRED_IN_FUTURE", "occurred_at"),
    ],
)
def test_past_decision_against_the_rules_is_refused(decision: PastDecision, reason: str, field: str) -> None:
    with pytest.raises(RapportError) as caught:
        draft_import(decision, IMPORTED, None, PURPOSES, now=NOW)
    assert (caught.value.reason.name, caught.value.fields[0].path) == (reason, field)


@pytest.mark.parametrize("status", [Status.REFUSED, Status.WITHDRAWN, Status.OBJECTED, Status.OPTED_OUT])
@pytest.mark.parametrize("purpose_id", ["gone", "soon", "drafted"])
def test_past_no_is_taken_over_whatever_became_of_its_purpose(status: Status, purpose_id: str) -> None:
    assert draft_import(past(status, purpose_id), IMPORTED, None, PURPOSES, now=NOW).occurred_at < NOW
