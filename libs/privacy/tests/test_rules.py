"""The rules as a table: what a purpose asks for, what is in force, what the answer is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rapport.consent.v1 import consent_pb2, ledger_pb2, purpose_pb2
from rapport_chassis.errors import RapportError
from rapport_privacy import vocabulary
from rapport_privacy.rules import decide
from rapport_privacy.state import BasisRule, Key, KeyState, Purpose, PurposeRule, Restriction, Subject, Terms
from rapport_privacy.vocabulary import DIRECT_MARKETING, Answer, Basis, EvidenceKind, Reason, Status

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
EARLIER = NOW - timedelta(days=1)
CAPTURED, IMPORTED, DECLARED = EvidenceKind.CAPTURED, EvidenceKind.IMPORTED, EvidenceKind.DECLARED

PERMIT, DENY, FENCED, UNKNOWN = Answer.PERMIT, Answer.DENY, Answer.DENY_FENCED, Answer.DENY_UNKNOWN
CHOICE_FREE = (Basis.CONTRACT, Basis.LEGAL_OBLIGATION, Basis.VITAL_INTEREST)
OBJECTIONABLE = (Basis.LEGITIMATE_INTEREST, Basis.PUBLIC_TASK)
NEGATIVES = (Status.REFUSED, Status.WITHDRAWN, Status.OBJECTED, Status.OPTED_OUT)


def purpose(basis: int = Basis.CONSENT, *, bases: tuple[BasisRule, ...] = (), **terms: Any) -> Purpose:
    rules = bases or (BasisRule("", "", basis),)
    return Purpose("mail", (PurposeRule(3, EARLIER, Terms(rules, **terms)),))


def subject(*states: tuple[Key, KeyState], restriction: Restriction | None = None) -> Subject:
    return Subject("prf_a", states=dict(states), restriction=restriction)


def granted(evidence: int = CAPTURED, expires_at: datetime | None = None) -> KeyState:
    return KeyState(Status.GRANTED, evidence, expires_at)


def answer(asked: Purpose | None, of: Subject | None = None, **more: Any) -> tuple[int, int]:
    verdict = decide(asked, of, **{"erased": False, "now": NOW, **more})
    return verdict.answer, verdict.reason


MAIL = ("mail", "")


@pytest.mark.parametrize("status", NEGATIVES)
@pytest.mark.parametrize("basis", [Basis.CONSENT, *OBJECTIONABLE])
def test_each_negative_denies_with_its_own_reason_where_the_person_has_a_say(basis: Basis, status: Status) -> None:
    assert answer(purpose(basis), subject((MAIL, KeyState(status)))) == (DENY, Reason[status.name])


@pytest.mark.parametrize("status", [*Status, 99])
@pytest.mark.parametrize("basis", CHOICE_FREE)
def test_a_contract_or_duty_needs_no_choice_and_heeds_none(basis: Basis, status: int) -> None:
    assert answer(purpose(basis), subject((MAIL, KeyState(status)))) == (PERMIT, Reason.BASIS)


@pytest.mark.parametrize(
    ("state", "consent", "interest"),
    [
        (None, (DENY, Reason.NO_DECISION), (PERMIT, Reason.BASIS)),
        (KeyState(Status.UNSPECIFIED), (DENY, Reason.NO_DECISION), (PERMIT, Reason.BASIS)),
        (granted(), (PERMIT, Reason.GRANTED), (PERMIT, Reason.BASIS)),
        (granted(IMPORTED), (PERMIT, Reason.GRANTED), (PERMIT, Reason.BASIS)),
        (granted(DECLARED), (PERMIT, Reason.GRANTED), (PERMIT, Reason.BASIS)),
        (granted(EvidenceKind.UNSPECIFIED), (DENY, Reason.EVIDENCE_INSUFFICIENT), (PERMIT, Reason.BASIS)),
        (granted(99), (DENY, Reason.EVIDENCE_INSUFFICIENT), (PERMIT, Reason.BASIS)),
        (granted(expires_at=LATER), (PERMIT, Reason.GRANTED), (PERMIT, Reason.BASIS)),
        (granted(expires_at=NOW), (DENY, Reason.EXPIRED), (PERMIT, Reason.BASIS)),
        (granted(expires_at=EARLIER), (DENY, Reason.EXPIRED), (PERMIT, Reason.BASIS)),
        (KeyState(99), (UNKNOWN, Reason.NO_DECISION), (UNKNOWN, Reason.NO_DECISION)),
    ],
)
def test_consent_needs_a_grant_and_an_interest_only_no_negative(
    state: KeyState | None, consent: tuple[int, int], interest: tuple[int, int]
) -> None:
    person = subject() if state is None else subject((MAIL, state))
    assert answer(purpose(), person) == consent
    for basis in OBJECTIONABLE:
        assert answer(purpose(basis), person) == interest


@pytest.mark.parametrize("terms", [{"explicit": True}, {"separate": True}])
def test_declared_evidence_never_carries_explicit_or_separate_consent(terms: dict[str, Any]) -> None:
    asked = purpose(**terms)
    assert answer(asked, subject((MAIL, granted(DECLARED)))) == (DENY, Reason.EVIDENCE_INSUFFICIENT)
    assert answer(asked, subject((MAIL, granted(IMPORTED)))) == (PERMIT, Reason.GRANTED)


@pytest.mark.parametrize("basis", list(Basis))
def test_an_erased_person_is_fenced_whatever_the_basis(basis: Basis) -> None:
    person = subject((MAIL, granted()))
    assert answer(purpose(basis, despite_restriction=True), person, erased=True) == (FENCED, Reason.ERASED)
    assert answer(None, None, erased=True) == (FENCED, Reason.ERASED)


@pytest.mark.parametrize("basis", list(Basis)[1:])
def test_a_restriction_fences_every_purpose_that_may_not_go_on_despite_it(basis: Basis) -> None:
    person = subject((MAIL, granted()), restriction=Restriction("ACCURACY_DISPUTED"))
    assert answer(purpose(basis), person) == (FENCED, Reason.RESTRICTED)
    assert answer(purpose(basis, despite_restriction=True), person)[0] == PERMIT
    assert answer(None, person) == (FENCED, Reason.RESTRICTED)


def test_an_unknown_purpose_is_unknown_and_a_person_without_rows_is_not() -> None:
    assert answer(None) == (UNKNOWN, Reason.UNKNOWN_PURPOSE)
    assert answer(purpose(), None) == (DENY, Reason.NO_DECISION)
    assert answer(purpose(Basis.CONTRACT), None) == (PERMIT, Reason.BASIS)


@pytest.mark.parametrize("basis", [0, 99])
def test_a_basis_that_is_not_known_here_denies(basis: int) -> None:
    assert answer(purpose(basis), subject((MAIL, granted())))[0] == UNKNOWN


def test_a_purpose_is_inactive_before_its_first_version_and_once_retired() -> None:
    terms = Terms((BasisRule("", "", Basis.CONTRACT),))
    assert answer(Purpose("mail", (PurposeRule(1, LATER, terms),))) == (DENY, Reason.PURPOSE_INACTIVE)
    assert answer(Purpose("mail", (PurposeRule(1, NOW, terms),))) == (PERMIT, Reason.BASIS)
    assert answer(Purpose("mail", (PurposeRule(1, EARLIER, terms),), retired=True)) == (DENY, Reason.PURPOSE_INACTIVE)


def test_the_latest_version_whose_time_has_come_is_in_force() -> None:
    versions = tuple(
        PurposeRule(number, since, Terms((BasisRule("", "", basis),)))
        for number, since, basis in [
            (1, EARLIER - timedelta(days=9), Basis.CONTRACT),
            (2, EARLIER, Basis.CONSENT),
            (3, LATER, Basis.LEGITIMATE_INTEREST),
        ]
    )
    asked = Purpose("mail", versions)
    for now, basis, version in [(EARLIER, Basis.CONSENT, 2), (LATER, Basis.LEGITIMATE_INTEREST, 3)]:
        verdict = decide(asked, None, erased=False, now=now)
        assert (verdict.basis, verdict.purpose_version) == (basis, version)


BY_PLACE_AND_CATEGORY = (
    BasisRule("", "", Basis.CONSENT),
    BasisRule("", "US", Basis.LEGITIMATE_INTEREST),
    BasisRule("orders", "", Basis.CONTRACT),
    BasisRule("orders", "US-CA", Basis.LEGAL_OBLIGATION),
)


@pytest.mark.parametrize(
    ("category", "market", "basis"),
    [
        ("", "", Basis.CONSENT),
        ("other", "DE", Basis.CONSENT),
        ("", "US", Basis.LEGITIMATE_INTEREST),
        ("other", "US", Basis.LEGITIMATE_INTEREST),
        ("other", "US-NY", Basis.LEGITIMATE_INTEREST),
        ("orders", "", Basis.CONTRACT),
        ("orders", "US", Basis.CONTRACT),
        ("orders", "US-CA", Basis.LEGAL_OBLIGATION),
    ],
)
def test_the_basis_is_that_of_the_most_special_rule(category: str, market: str, basis: Basis) -> None:
    asked = purpose(bases=BY_PLACE_AND_CATEGORY)
    assert decide(asked, None, erased=False, now=NOW, market=market, data_category=category).basis == basis


def test_a_category_without_any_rule_does_not_apply() -> None:
    asked = purpose(bases=(BasisRule("orders", "", Basis.CONTRACT),))
    assert answer(asked, data_category="behaviour") == (DENY, Reason.NOT_APPLICABLE)


@pytest.mark.parametrize(
    ("terms", "more", "applies"),
    [
        ({"brand_ids": frozenset({"alba"})}, {"brand_id": "alba"}, True),
        ({"brand_ids": frozenset({"alba"})}, {"brand_id": "boreal"}, False),
        ({"brand_ids": frozenset({"alba"})}, {}, False),
        ({"markets": frozenset({"DE", "US"})}, {"market": "DE"}, True),
        ({"markets": frozenset({"DE", "US"})}, {"market": "US-CA"}, True),
        ({"markets": frozenset({"DE", "US-CA"})}, {"market": "US"}, False),
        ({"markets": frozenset({"DE"})}, {"market": "FR"}, False),
        ({"markets": frozenset({"DE"})}, {}, False),
    ],
)
def test_a_purpose_applies_only_to_its_brands_and_markets(
    terms: dict[str, Any], more: dict[str, Any], applies: bool
) -> None:
    expected = (PERMIT, Reason.BASIS) if applies else (DENY, Reason.NOT_APPLICABLE)
    assert answer(purpose(Basis.CONTRACT, **terms), **more) == expected


def test_a_brand_scoped_purpose_refuses_to_answer_without_a_brand() -> None:
    with pytest.raises(RapportError) as raised:
        answer(purpose(brand_scoped=True))
    assert (raised.value.reason.name, raised.value.reason.code) == ("BRAND_REQUIRED", "INVALID_ARGUMENT")
    assert [violation.path for violation in raised.value.fields] == ["brand_id"]


BRANDED, WIDE = ("mail", "alba"), ("mail", "")
CLASS_BRANDED, CLASS_WIDE = (DIRECT_MARKETING, "alba"), (DIRECT_MARKETING, "")
OBJECTED = KeyState(Status.OBJECTED)


@pytest.mark.parametrize("basis", [Basis.CONSENT, Basis.LEGITIMATE_INTEREST])
@pytest.mark.parametrize("special", range(4))
def test_the_most_special_state_is_the_answer(special: int, basis: Basis) -> None:
    chain = (BRANDED, WIDE, CLASS_BRANDED, CLASS_WIDE)
    asked = purpose(basis, brand_scoped=True, direct_marketing=True)
    wider = [(key, OBJECTED) for key in chain[special + 1 :]]
    permitted = answer(asked, subject((chain[special], granted()), *wider), brand_id="alba")
    denied = answer(asked, subject((chain[special], OBJECTED)), brand_id="alba")
    assert permitted[0] == PERMIT
    assert denied == (DENY, Reason.OBJECTED)


def test_a_key_without_a_decision_in_force_leaves_the_wider_one_in_force() -> None:
    person = subject((BRANDED, KeyState(Status.UNSPECIFIED)), (WIDE, OBJECTED))
    assert answer(purpose(Basis.LEGITIMATE_INTEREST), person, brand_id="alba") == (DENY, Reason.OBJECTED)


def test_an_objection_to_direct_marketing_leaves_other_purposes_alone() -> None:
    person = subject((CLASS_WIDE, OBJECTED), (WIDE, granted()))
    assert answer(purpose(direct_marketing=False), person) == (PERMIT, Reason.GRANTED)
    assert answer(purpose(Basis.LEGITIMATE_INTEREST), subject((CLASS_WIDE, OBJECTED))) == (PERMIT, Reason.BASIS)


def test_the_state_of_another_brand_does_not_count() -> None:
    assert answer(purpose(), subject((BRANDED, granted())), brand_id="boreal") == (DENY, Reason.NO_DECISION)


@pytest.mark.parametrize(
    ("words", "contract", "prefix"),
    [
        (vocabulary.Answer, consent_pb2.Answer, "ANSWER_"),
        (vocabulary.Reason, consent_pb2.DecisionReason, "DECISION_REASON_"),
        (vocabulary.Basis, purpose_pb2.LegalBasis, "LEGAL_BASIS_"),
        (vocabulary.Status, ledger_pb2.ConsentStatus, "CONSENT_STATUS_"),
        (vocabulary.EvidenceKind, ledger_pb2.EvidenceKind, "EVIDENCE_KIND_"),
    ],
)
def test_the_vocabulary_has_the_numbers_of_the_contract(words: Any, contract: Any, prefix: str) -> None:
    assert {word.name: word.value for word in words} == {
        name.removeprefix(prefix): number for name, number in contract.items()
    }
