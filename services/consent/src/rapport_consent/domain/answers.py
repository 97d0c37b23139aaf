"""What a person answered to a notice, or answered elsewhere once: checked, and ready to take a position."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from rapport_privacy.vocabulary import Status

from rapport_consent.domain.drafts import Draft, dated, reask_not_before, version_required
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.evidence import CapturedEvidence, DeclaredEvidence, Evidence, ImportedEvidence
from rapport_consent.domain.notices import Notice
from rapport_consent.domain.purposes import Purposes, PurposeTerms, PurposeVersion, find_purpose
from rapport_consent.domain.rows import KIND_OF, RowKind


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person answered about one purpose, at one brand or at all."""

    purpose_id: str
    brand_id: str
    grants: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person answered to one notice; several are a bundle. The fields are those of the request."""

    items: tuple[Answer, ...]
    evidence: Evidence
    occurred_at: datetime | None = None
    notice_id: str = ""
    notice_version: int = 0
    locale: str = ""
    market: str = ""


class PastDecision(NamedTuple):
    """A decision of the past, to be imported. The fields are those of the import's row."""

    purpose_id: str
    brand_id: str
    status: Status
    occurred_at: datetime
    notice_id: str = ""
    notice_version: int = 0


def draft_answers(
    answers: Answers, notice: Notice | None, purposes: Purposes, *, now: datetime, production: bool
) -> list[Draft]:
    """Return a row for each answer, in order.

    Args:
        answers: What was answered.
        notice: The notice that the answers name; None if they name none, or there is none like it.
        purposes: All purposes.
        now: The present.
        production: True in an installation that serves real people.

    Raises:
        RapportError: Why the answers cannot be recorded, with the path of the field.
    """
    occurred_at = dated(answers.occurred_at, now)
    _check_evidence(answers, notice, occurred_at, now, production=production)
    versions = {}
    for index, item in enumerate(answers.items):
        path = f"items[{index}]"
        purpose = find_purpose(purposes, item.purpose_id, f"{path}.purpose_id")
        if (item.purpose_id, item.brand_id) in versions:
            raise ERRORS.error("ITEM_REPEATED", "the purpose is answered twice", field=path)
        version = version_required(purpose, now, f"{path}.purpose_id")
        versions[item.purpose_id, item.brand_id] = version
        _check_brand(version.terms, item, f"{path}.brand_id")
        if not version.terms.exists_in_market(answers.market):
            raise ERRORS.error("MARKET_NOT_APPLICABLE", "the purpose does not exist in the market", field="market")
        if item.grants:
            _check_grant(version.terms, item, answers, notice, path)
    return [
        Draft(
            kind := RowKind.GRANT if item.grants else RowKind.REFUSE,
            occurred_at,
            item.purpose_id,
            item.brand_id,
            _expires_at(kind, version, occurred_at),
            reask_not_before(kind, version, occurred_at),
            version.version,
            answers.notice_id,
            notice.version if notice else 0,
            answers.locale,
            answers.market,
            answers.evidence,
        )
        for item, version in zip(answers.items, versions.values(), strict=True)
    ]


def draft_import(
    past: PastDecision, evidence: ImportedEvidence, notice: Notice | None, purposes: Purposes, *, now: datetime
) -> Draft:
    """Return the row of a decision of the past. A no is taken over whatever has become of its purpose.

    Args:
        past: The decision.
        evidence: Proof of all rows of the import.
        notice: The notice that the decision names; None if it names none, or there is none like it.
        purposes: All purposes.
        now: The present.

    Raises:
        RapportError: Why it cannot be recorded, with the path of the field within its row.
    """
    purpose = find_purpose(purposes, past.purpose_id, "purpose_id")
    occurred_at = dated(past.occurred_at, now)
    if past.notice_id and notice is None:
        raise ERRORS.error("NOTICE_UNKNOWN", "no such version of the notice is known", field="notice_id")
    kind = KIND_OF[past.status]
    version = purpose.applicable(now)
    if kind is RowKind.GRANT:
        version = version_required(purpose, now, "purpose_id")
        _check_brand(version.terms, Answer(past.purpose_id, past.brand_id, grants=True), "brand_id")
    return Draft(
        kind,
        occurred_at,
        past.purpose_id,
        past.brand_id,
        _expires_at(kind, version, occurred_at),
        reask_not_before(kind, version, occurred_at),
        version.version if version else 0,
        past.notice_id,
        past.notice_version,
        notice.locale if notice else "",
        evidence=evidence,
    )


def _check_evidence(
    answers: Answers, notice: Notice | None, occurred_at: datetime, now: datetime, *, production: bool
) -> None:
    evidence = answers.evidence
    if isinstance(evidence, DeclaredEvidence) and production:
        raise ERRORS.error("EVIDENCE_DECLARED_REFUSED", "no proof in production", field="evidence.declared")
    if answers.notice_id and (notice is None or answers.locale not in ("", notice.locale)):
        raise ERRORS.error("NOTICE_UNKNOWN", "no such notice in this version and language", field="notice_id")
    if not isinstance(evidence, CapturedEvidence):
        return
    if notice is None and any(item.grants for item in answers.items):
        raise ERRORS.error("NOTICE_REQUIRED", "a captured grant names the notice that was shown", field="notice_id")
    if evidence.confirmed_at is not None:
        field = "evidence.captured.confirmed_at"
        if dated(evidence.confirmed_at, now, field) < occurred_at:
            raise ERRORS.error("CONFIRMATION_REQUIRED", "confirmed before it was given", field=field)


def _check_brand(terms: PurposeTerms, item: Answer, field: str) -> None:
    if item.grants and terms.brand_scoped and not item.brand_id:
        raise ERRORS.error("BRAND_REQUIRED", "a grant must name its brand", field=field)
    if item.grants and not terms.brand_scoped and item.brand_id:
        raise ERRORS.error("BRAND_NOT_APPLICABLE", "the purpose has no brands", field=field)
    if not terms.exists_for_brand(item.brand_id):
        raise ERRORS.error("BRAND_NOT_APPLICABLE", "the purpose does not exist for the brand", field=field)


def _check_grant(terms: PurposeTerms, item: Answer, answers: Answers, notice: Notice | None, path: str) -> None:
    evidence = answers.evidence
    if terms.separate and len(answers.items) > 1:
        raise ERRORS.error("SEPARATE_CONSENT_BUNDLED", "must be asked for on its own", field=path)
    if isinstance(evidence, DeclaredEvidence) and (terms.explicit or terms.separate or terms.double_opt_in):
        raise ERRORS.error("EVIDENCE_DECLARED_REFUSED", "this consent needs the person's own act", field=path)
    if isinstance(evidence, CapturedEvidence) and terms.double_opt_in and evidence.confirmed_at is None:
        raise ERRORS.error(
            "CONFIRMATION_REQUIRED", "the person has not confirmed it", field="evidence.captured.confirmed_at"
        )
    if notice is not None and not notice.covers(item.purpose_id, item.brand_id):
        raise ERRORS.error("NOTICE_DOES_NOT_COVER", "the notice does not speak of the purpose or brand", field=path)


def _expires_at(kind: RowKind, version: PurposeVersion | None, occurred_at: datetime) -> datetime | None:
    if kind is not RowKind.GRANT or version is None or version.terms.expires_after is None:
        return None
    return occurred_at + version.terms.expires_after
