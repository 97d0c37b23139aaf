"""The rules of a decision: what a purpose asks for, and whether what is in force for a person satisfies it.

Pure: no clock, no I/O. The gate asks them of its replica, the consent service of its ledger, so both answer alike.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from rapport_privacy.errors import GATE_ERRORS
from rapport_privacy.state import Key, KeyState, Purpose, PurposeRule, Subject, Terms
from rapport_privacy.vocabulary import DIRECT_MARKETING, Answer, Basis, EvidenceKind, Reason, Status

Outcome = tuple[Answer, Reason]

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_END: Final = datetime.max.replace(tzinfo=UTC)

# Looking a member up on its enum class costs more than a whole dict look-up.
_GRANTED_STATUS: Final = int(Status.GRANTED)
_NEUTRAL_STATUS: Final = int(Status.UNSPECIFIED)

PERMIT_GRANTED: Final[Outcome] = (Answer.PERMIT, Reason.GRANTED)
PERMIT_BASIS: Final[Outcome] = (Answer.PERMIT, Reason.BASIS)
NO_DECISION: Final[Outcome] = (Answer.DENY, Reason.NO_DECISION)
EXPIRED: Final[Outcome] = (Answer.DENY, Reason.EXPIRED)
EVIDENCE_INSUFFICIENT: Final[Outcome] = (Answer.DENY, Reason.EVIDENCE_INSUFFICIENT)
PURPOSE_INACTIVE: Final[Outcome] = (Answer.DENY, Reason.PURPOSE_INACTIVE)
NOT_APPLICABLE: Final[Outcome] = (Answer.DENY, Reason.NOT_APPLICABLE)
UNKNOWN_PURPOSE: Final[Outcome] = (Answer.DENY_UNKNOWN, Reason.UNKNOWN_PURPOSE)
UNKNOWN_BASIS: Final[Outcome] = (Answer.DENY_UNKNOWN, Reason.NOT_APPLICABLE)
UNKNOWN_STATUS: Final[Outcome] = (Answer.DENY_UNKNOWN, Reason.NO_DECISION)
FENCED_ERASED: Final[Outcome] = (Answer.DENY_FENCED, Reason.ERASED)
FENCED_RESTRICTED: Final[Outcome] = (Answer.DENY_FENCED, Reason.RESTRICTED)

_NEGATIVES: Final[Mapping[int, Outcome]] = {
    Status.REFUSED: (Answer.DENY, Reason.REFUSED),
    Status.WITHDRAWN: (Answer.DENY, Reason.WITHDRAWN),
    Status.OBJECTED: (Answer.DENY, Reason.OBJECTED),
    Status.OPTED_OUT: (Answer.DENY, Reason.OPTED_OUT),
}
PROVEN: Final = frozenset((int(EvidenceKind.CAPTURED), int(EvidenceKind.IMPORTED)))
"""Kinds of evidence that carry every grant."""
_PROVEN_OR_DECLARED: Final = PROVEN | {int(EvidenceKind.DECLARED)}
_WITHOUT_CHOICE: Final = frozenset((Basis.CONTRACT, Basis.LEGAL_OBLIGATION, Basis.VITAL_INTEREST))
_OBJECTIONABLE: Final = frozenset((Basis.PUBLIC_TASK, Basis.LEGITIMATE_INTEREST))
_CONTINUING: Final = frozenset((Basis.CONTRACT, Basis.LEGAL_OBLIGATION))


@dataclass(frozen=True, slots=True)
class Question:
    """A check without the person: the same for everybody, so it is worked out once and kept.

    Attributes:
        outcome: The answer, where it is the same for everybody without a fence.
        keys: Where the decision in force is looked for, the most special first.
        needs_grant: True if only a grant permits, false if only a negative denies.
        sufficient_evidence: Kinds of evidence that carry a grant.
        despite_restriction: True if it may go on under a restriction.
        continues_stale: True if it may go on for a while without touch with the ledger.
        valid_from: Start of the time in which this question stands for the purpose.
        valid_until: End of that time; a later version of the purpose is then in force.
    """

    outcome: Outcome | None
    basis: int = Basis.UNSPECIFIED
    purpose_version: int = 0
    keys: tuple[Key, ...] = ()
    needs_grant: bool = True
    sufficient_evidence: frozenset[int] = PROVEN
    despite_restriction: bool = False
    continues_stale: bool = False
    valid_from: datetime = _BEGINNING
    valid_until: datetime = _END


class Verdict(NamedTuple):
    """What the rules say of one person and one question."""

    answer: int
    reason: int
    basis: int
    purpose_version: int
    state: KeyState | None


def decide(
    purpose: Purpose | None,
    subject: Subject | None,
    *,
    erased: bool,
    now: datetime,
    brand_id: str = "",
    market: str = "",
    data_category: str = "",
) -> Verdict:
    """Decide from all that is known, without regard to freshness.

    Args:
        purpose: The purpose; None if there is none of that name.
        subject: The profile that stands for the person; None if nothing was ever recorded.
        erased: Whether a fence stands around the id asked for or the one that stands for it.
        now: The instant of the effect.
        brand_id: The brand in whose name it happens.
        market: Where it happens.
        data_category: The category of data it uses.

    Raises:
        RapportError: BRAND_REQUIRED: a brand must be named for this purpose.
    """
    question = pose(purpose, brand_id=brand_id, market=market, data_category=data_category, now=now)
    state = None
    if erased:
        outcome = FENCED_ERASED
    elif subject is not None and subject.restriction is not None and not question.despite_restriction:
        outcome = FENCED_RESTRICTED
    else:
        state = None if subject is None else in_force(question, subject.states)
        outcome = weigh(question, state, now)
    return Verdict(*outcome, question.basis, question.purpose_version, state)


def pose(purpose: Purpose | None, *, brand_id: str, market: str, data_category: str, now: datetime) -> Question:
    """Work out what a check asks of any person.

    Raises:
        RapportError: BRAND_REQUIRED: a brand must be named for this purpose.
    """
    if purpose is None:
        return Question(UNKNOWN_PURPOSE)
    if not brand_id and any(rule.terms.brand_scoped for rule in purpose.rules):
        raise GATE_ERRORS.error("BRAND_REQUIRED", "a brand must be named for this purpose", field="brand_id")
    rule, valid_from, valid_until = _version_in_force(purpose, now)
    if rule is None:
        return Question(PURPOSE_INACTIVE, valid_from=valid_from, valid_until=valid_until)
    terms = rule.terms
    basis = _basis(terms, market, data_category) if _applies(terms, brand_id, market) else None
    return Question(
        outcome=PURPOSE_INACTIVE if purpose.retired else _common_outcome(basis),
        basis=basis or Basis.UNSPECIFIED,
        purpose_version=rule.version,
        keys=_keys(purpose.purpose_id, brand_id, direct_marketing=terms.direct_marketing),
        needs_grant=basis not in _OBJECTIONABLE,
        sufficient_evidence=PROVEN if terms.explicit or terms.separate else _PROVEN_OR_DECLARED,
        despite_restriction=terms.despite_restriction,
        continues_stale=basis in _CONTINUING,
        valid_from=valid_from,
        valid_until=valid_until,
    )


def in_force(question: Question, states: Mapping[Key, KeyState]) -> KeyState | None:
    """Return the most special decision in force: the ledger has let wider negatives reach every key that exists."""
    for key in question.keys:
        state = states.get(key)
        if state is not None and state.status != _NEUTRAL_STATUS:
            return state
    return None


def weigh(question: Question, state: KeyState | None, now: datetime) -> Outcome:
    """Return the outcome for a person around whom no fence stands."""
    if question.outcome is not None:
        return question.outcome
    if state is None:
        return NO_DECISION if question.needs_grant else PERMIT_BASIS
    if state.status != _GRANTED_STATUS:
        return _NEGATIVES.get(state.status, UNKNOWN_STATUS)
    if not question.needs_grant:
        return PERMIT_BASIS
    if state.expires_at is not None and state.expires_at <= now:
        return EXPIRED
    if state.evidence not in question.sufficient_evidence:
        return EVIDENCE_INSUFFICIENT
    return PERMIT_GRANTED


def _version_in_force(purpose: Purpose, now: datetime) -> tuple[PurposeRule | None, datetime, datetime]:
    """The latest version whose time has come, and between which times that is so."""
    current, valid_from, valid_until = None, _BEGINNING, _END
    for rule in purpose.rules:
        if rule.active_from > now:
            valid_until = rule.active_from
            break
        current, valid_from = rule, rule.active_from
    return current, valid_from, valid_until


def _applies(terms: Terms, brand_id: str, market: str) -> bool:
    brand_fits = not terms.brand_ids or brand_id in terms.brand_ids
    return brand_fits and (not terms.markets or any(place in terms.markets for place in _places(market)))


def _basis(terms: Terms, market: str, data_category: str) -> int | None:
    """The basis by the most special rule: category and market, category, market, neither."""
    bases = {(rule.data_category, rule.market): rule.basis for rule in terms.bases}
    for category in dict.fromkeys((data_category, "")):
        for place in (*_places(market), ""):
            if (category, place) in bases:
                return bases[category, place]
    return None


def _places(market: str) -> Iterator[str]:
    """A market and, for a subdivision, the country it lies in: a rule of "US" holds in "US-CA" as well."""
    if market:
        yield market
        if "-" in market:
            yield market.partition("-")[0]


def _common_outcome(basis: int | None) -> Outcome | None:
    if basis is None:
        return NOT_APPLICABLE
    if basis in _WITHOUT_CHOICE:
        return PERMIT_BASIS
    if basis == Basis.CONSENT or basis in _OBJECTIONABLE:
        return None
    return UNKNOWN_BASIS


def _keys(purpose_id: str, brand_id: str, *, direct_marketing: bool) -> tuple[Key, ...]:
    names = (purpose_id, DIRECT_MARKETING) if direct_marketing else (purpose_id,)
    brands = (brand_id, "") if brand_id else ("",)
    return tuple((name, brand) for name in names for brand in brands)
