"""Between the contract's messages and the rules. Beside the entrypoints, the only place that sees generated code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import consent_pb2, events_pb2, ledger_pb2, purpose_pb2
from rapport.identity.v1 import events_pb2 as identity_events_pb2
from rapport_chassis.authored import Version
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.events import envelope
from rapport_chassis.events.envelope import Event
from rapport_chassis.signing import PublicKey
from rapport_privacy.decision import Decision
from rapport_privacy.vocabulary import Basis

from rapport_consent.app.ledger import LedgerWrite, Token
from rapport_consent.domain.answers import Answer, Answers
from rapport_consent.domain.changes import LedgerChange, SubjectChange
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.evidence import (
    CapturedEvidence,
    CaptureMethod,
    DecisionMaker,
    DeclaredEvidence,
    Evidence,
    ImportedEvidence,
)
from rapport_consent.domain.notices import Notice
from rapport_consent.domain.purposes import BasisRule, Purpose, PurposeTerms, SignalKind
from rapport_consent.domain.rows import NEGATIVES, STATUS_OF, LedgerRow, PartitionChange, ResultingProfile, RowKind
from rapport_consent.domain.states import Fence, KeyState, Restriction, SubjectState

SOURCE: Final = "consent"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_URGENT: Final = NEGATIVES | {RowKind.RESTRICT, RowKind.FENCE}
_DECIDED: Final = {RowKind.GRANT: events_pb2.ConsentGranted, RowKind.OBJECT: events_pb2.ObjectionRecorded}


def stamp(moment: datetime) -> Timestamp:
    """Return a time as a message."""
    message = Timestamp()
    _set(message, moment)
    return message


def _set(message: Timestamp, moment: datetime) -> None:
    since = moment - _EPOCH
    message.seconds = since.days * 86400 + since.seconds
    message.nanos = since.microseconds * 1000


def moment(message: Timestamp) -> datetime:
    """Return the time that a message names, cut to microseconds.

    Raises:
        RapportError: INVALID_REQUEST: no calendar has it.
    """
    try:
        return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError:
        raise CHASSIS_ERRORS.error("INVALID_REQUEST", "a time lies outside of the years 1 to 9999") from None


def duration(message: Duration) -> timedelta:
    """Return the duration that a message names, cut to microseconds.

    Raises:
        RapportError: INVALID_REQUEST: it is longer than time is counted.
    """
    try:
        return timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError:
        raise CHASSIS_ERRORS.error("INVALID_REQUEST", "a duration is longer than 10,000 years") from None


# --- what changed -----------------------------------------------------------------------------------------------------


def event_of(change: LedgerChange, epoch: str, event_id: str) -> Event:
    """Return the event that tells of a ledger write, what it changed first.

    Messages are filled in place: put together from others they would be copied, at twice the cost.
    """
    row, kind = change.row, change.row.kind
    message: Any
    if kind in STATUS_OF:
        message = _DECIDED.get(kind, events_pb2.ConsentWithdrawn)()
        message.reference = row.reference
        message.purpose_id = row.purpose_id
        message.brand_id = row.brand_id
        _set(message.occurred_at, row.occurred_at)
        if kind is RowKind.GRANT:
            message.evidence = _evidence_kind(row)
        elif kind is not RowKind.OBJECT:
            message.status = _status(kind)
    elif kind is RowKind.RESTRICT:
        message = events_pb2.RestrictionPlaced(reference=row.reference, ground=row.ground)
    elif kind is RowKind.LIFT:
        message = events_pb2.RestrictionLifted(reference=row.reference)
    elif kind is RowKind.FENCE:
        message = events_pb2.FenceRaised(reference=row.reference)
    elif kind is RowKind.PURPOSE:
        message = events_pb2.PurposeChanged(purpose_id=row.purpose_id, version=row.purpose_version)
    elif row.partition is not None:
        made = events_pb2.ConsentsMerged if kind is RowKind.MERGE else events_pb2.ConsentsSplit
        message = made(identity_event_id=row.partition.identity_event_id)
    else:
        raise ValueError(f"a row of kind {kind} tells of nothing")
    _tell(message.change, change, epoch)
    return envelope.event_of(
        message, source=SOURCE, occurred_at=row.occurred_at, event_id=event_id, urgent=kind in _URGENT
    )


def change_in(event: Event) -> ledger_pb2.LedgerChange:
    """Return what a gate is told by the event of a ledger write."""
    message: Any = event.message
    return cast(ledger_pb2.LedgerChange, message.change)


def _tell(message: ledger_pb2.LedgerChange, change: LedgerChange, epoch: str) -> None:
    row = change.row
    message.epoch = epoch
    message.position = row.position
    _set(message.recorded_at, row.recorded_at)
    message.named_id = row.named_id
    message.current_id = change.current_id
    for subject in change.subjects:
        _tell_subject(message.subjects.add(), subject, row.recorded_at)
    if change.purpose is not None:
        message.purposes.append(purpose_state(change.purpose))
    message.fences.extend(fence_message(fence) for fence in change.fences)


def _tell_subject(message: ledger_pb2.SubjectState, subject: SubjectChange, at: datetime) -> None:
    message.profile_id = subject.profile_id
    message.whole = subject.whole
    message.redirect_ids.extend(subject.redirect_ids)
    for state in subject.states:
        _fill_key_state(message.states.add(), state, at)
    if subject.restriction_told:
        message.restriction.CopyFrom(restriction_message(subject.restriction))


def blank_change(epoch: str, position: int, recorded_at: datetime, fence: Fence) -> ledger_pb2.LedgerChange:
    """Return what is left of an erased row: a bare position with its fence."""
    return ledger_pb2.LedgerChange(
        epoch=epoch,
        position=position,
        recorded_at=stamp(recorded_at),
        named_id=fence.profile_id,
        current_id=fence.profile_id,
        fences=[fence_message(fence)],
    )


def fence_message(fence: Fence) -> ledger_pb2.Fence:
    """Return a fence as a message."""
    return ledger_pb2.Fence(profile_id=fence.profile_id, kind=ledger_pb2.FENCE_KIND_ERASED, position=fence.position)


def key_state(state: KeyState, at: datetime) -> ledger_pb2.KeyState:
    """Return the state of a key as a message, with the ids that grant at this time."""
    message = ledger_pb2.KeyState()
    _fill_key_state(message, state, at)
    return message


def _fill_key_state(message: ledger_pb2.KeyState, state: KeyState, at: datetime) -> None:
    message.purpose_id, message.brand_id = state.key
    message.status = state.status  # type: ignore[assignment] # the numbers are the contract's
    _set(message.decided_at, state.decided_at)
    message.reference = state.reference
    message.notice_id = state.notice_id
    message.notice_version = state.notice_version
    message.evidence = state.evidence  # type: ignore[assignment] # the numbers are the contract's
    message.granting_ids.extend(state.granting_ids(at))
    if state.expires_at is not None:
        _set(message.expires_at, state.expires_at)
    if state.reask_not_before is not None:
        _set(message.reask_not_before, state.reask_not_before)


def restriction_message(restriction: Restriction | None) -> ledger_pb2.Restriction:
    """Return a restriction, or that there is none, as a message."""
    if restriction is None:
        return ledger_pb2.Restriction()
    return ledger_pb2.Restriction(in_force=True, ground=restriction.ground, since=stamp(restriction.since))


def subject_state(state: SubjectState, at: datetime) -> ledger_pb2.SubjectState:
    """Return the whole state of a profile as a message."""
    return ledger_pb2.SubjectState(
        profile_id=state.profile_id,
        whole=True,
        redirect_ids=state.redirect_ids,
        states=[key_state(each, at) for each in state.states],
        restriction=restriction_message(state.restriction) if state.restriction else None,
    )


def _status(kind: RowKind) -> ledger_pb2.ConsentStatus.ValueType:
    return ledger_pb2.ConsentStatus.ValueType(STATUS_OF[kind])


def _evidence_kind(row: LedgerRow) -> ledger_pb2.EvidenceKind.ValueType:
    return ledger_pb2.EvidenceKind.ValueType(row.evidence.kind if row.evidence else 0)


# --- purposes ---------------------------------------------------------------------------------------------------------


def terms_of(message: purpose_pb2.PurposeTerms) -> PurposeTerms:
    """Return the terms that a message states."""
    return PurposeTerms(
        bases=tuple(BasisRule(Basis(rule.basis), rule.data_category, rule.market) for rule in message.bases),
        brand_scoped=message.brand_scoped,
        direct_marketing=message.direct_marketing,
        separate=message.separate,
        explicit=message.explicit,
        double_opt_in=message.double_opt_in,
        despite_restriction=message.despite_restriction,
        expires_after=duration(message.expires_after) if message.HasField("expires_after") else None,
        reask_after=duration(message.reask_after) if message.HasField("reask_after") else None,
        signals=frozenset(SignalKind(signal) for signal in message.signals),
        brand_ids=frozenset(message.brand_ids),
        markets=frozenset(message.markets),
    )


def terms_message(terms: PurposeTerms) -> purpose_pb2.PurposeTerms:
    """Return terms as a message."""
    message = purpose_pb2.PurposeTerms(
        bases=[
            purpose_pb2.BasisRule(
                data_category=rule.data_category,
                market=rule.market,
                basis=int(rule.basis),  # type: ignore[arg-type] # the numbers are the contract's
            )
            for rule in terms.bases
        ],
        brand_scoped=terms.brand_scoped,
        direct_marketing=terms.direct_marketing,
        separate=terms.separate,
        explicit=terms.explicit,
        double_opt_in=terms.double_opt_in,
        despite_restriction=terms.despite_restriction,
        signals=sorted(int(signal) for signal in terms.signals),  # type: ignore[misc] # the numbers are the contract's
        brand_ids=sorted(terms.brand_ids),
        markets=sorted(terms.markets),
    )
    if terms.expires_after is not None:
        message.expires_after.FromTimedelta(terms.expires_after)
    if terms.reask_after is not None:
        message.reask_after.FromTimedelta(terms.reask_after)
    return message


def purpose_state(purpose: Purpose) -> ledger_pb2.PurposeState:
    """Return the whole state of a purpose as a gate needs it."""
    return ledger_pb2.PurposeState(
        purpose_id=purpose.purpose_id,
        rules=[
            ledger_pb2.PurposeRule(
                version=each.version, active_from=stamp(each.active_from), terms=terms_message(each.terms)
            )
            for each in purpose.versions
        ],
        retired=purpose.retired,
    )


# --- what a person decided --------------------------------------------------------------------------------------------


def answers_of(request: consent_pb2.RecordConsentRequest) -> Answers:
    """Return what a person answered."""
    return Answers(
        items=tuple(
            Answer(item.purpose_id, item.brand_id, item.choice == consent_pb2.CONSENT_CHOICE_GRANT)
            for item in request.items
        ),
        evidence=evidence_of(request.evidence),
        occurred_at=moment(request.occurred_at) if request.HasField("occurred_at") else None,
        notice_id=request.notice_id,
        notice_version=request.notice_version,
        locale=request.locale,
        market=request.market,
    )


def evidence_of(message: consent_pb2.Evidence) -> Evidence:
    """Return the proof that a message holds."""
    match message.WhichOneof("kind"):
        case "captured":
            captured = message.captured
            return CapturedEvidence(
                surface=captured.surface,
                method=CaptureMethod(captured.method),
                decided_by=DecisionMaker(captured.decided_by or DecisionMaker.SUBJECT),
                confirmed_at=moment(captured.confirmed_at) if captured.HasField("confirmed_at") else None,
                proof_sha256=captured.proof_sha256,
            )
        case "imported":
            return imported_evidence_of(message.imported)
        case _:
            return DeclaredEvidence(rule=message.declared.rule)


def imported_evidence_of(message: consent_pb2.ImportedEvidence) -> ImportedEvidence:
    """Return the proof of imported decisions."""
    return ImportedEvidence(
        source=message.source, exported_at=moment(message.exported_at), file_sha256=message.file_sha256
    )


def ledger_write(write: LedgerWrite) -> consent_pb2.LedgerWrite:
    """Return what a write answers."""
    return consent_pb2.LedgerWrite(
        entries=[
            consent_pb2.LedgerEntry(
                reference=row.reference,
                receipt_id=row.receipt_id,
                purpose_id=row.purpose_id,
                brand_id=row.brand_id,
                status=_status(row.kind) if row.kind in STATUS_OF else ledger_pb2.CONSENT_STATUS_UNSPECIFIED,
                position=row.position,
            )
            for row in write.rows
        ],
        token=position_message(write.token),
        current_profile_id=write.current_id,
    )


def position_message(token: Token) -> freshness_pb2.LedgerPosition:
    """Return a freshness token as a message."""
    return freshness_pb2.LedgerPosition(epoch=token.epoch, position=token.position)


# --- answers ----------------------------------------------------------------------------------------------------------


def decision_message(decision: Decision) -> consent_pb2.Decision:
    """Return the gate's answer as a message."""
    as_of, staleness_s, state = decision.as_of, decision.staleness_s, decision.state
    message = consent_pb2.Decision(
        answer=decision.answer,  # type: ignore[arg-type] # the numbers are the contract's
        reason=decision.reason,  # type: ignore[arg-type] # the numbers are the contract's
        basis=decision.basis,  # type: ignore[arg-type] # the numbers are the contract's
        purpose_version=decision.purpose_version,
        current_profile_id=decision.profile_id,
        as_of=stamp(as_of),
    )
    if decision.epoch:
        message.position.epoch = decision.epoch
        message.position.position = decision.position
    if isfinite(staleness_s):
        message.staleness.FromMicroseconds(int(staleness_s * 1e6))
    if state is not None:
        message.reference = state.reference
        message.notice_id = state.notice_id
        message.notice_version = state.notice_version
        message.evidence = state.evidence  # type: ignore[assignment] # the numbers are the contract's
        if state.expires_at is not None:
            message.expires_at.CopyFrom(stamp(state.expires_at))
        if state.reask_not_before is not None:
            message.reask_not_before.CopyFrom(stamp(state.reask_not_before))
    return message


def consent_state_message(state: SubjectState, at: datetime, position: Token) -> consent_pb2.ConsentState:
    """Return the state of a person as a message."""
    return consent_pb2.ConsentState(
        current_profile_id=state.profile_id,
        closure_ids=[state.profile_id, *state.redirect_ids],
        states=[key_state(each, at) for each in state.states],
        restriction=restriction_message(state.restriction) if state.restriction else None,
        position=position_message(position),
    )


# --- what identity tells ----------------------------------------------------------------------------------------------


def merge_of(event_id: str, message: identity_events_pb2.ProfilesMerged) -> PartitionChange:
    """Return the merge that identity tells of."""
    return PartitionChange(event_id, tuple(map(_resulting, message.profiles)))


def split_of(event_id: str, message: identity_events_pb2.ProfileSplit) -> PartitionChange:
    """Return the split that identity tells of."""
    return PartitionChange(event_id, tuple(map(_resulting, message.profiles)), tuple(message.issued_ids))


def _resulting(profile: identity_events_pb2.ResultingProfile) -> ResultingProfile:
    redirects = tuple(i for i in profile.redirect_ids if i != profile.profile_id)
    return ResultingProfile(profile.profile_id, profile.version, redirects)


# --- notices ----------------------------------------------------------------------------------------------------------


def notice_of(message: purpose_pb2.Notice) -> Notice:
    """Return the notice that a message holds."""
    return Notice(
        notice_id=message.notice_id,
        version=message.version,
        locale=message.locale,
        text=message.text,
        sha256=message.sha256,
        purpose_ids=frozenset(message.purpose_ids),
        brand_id=message.brand_id,
        published_at=moment(message.published_at),
        published_by=message.published_by,
    )


def notice_message(notice: Notice) -> purpose_pb2.Notice:
    """Return a notice as a message."""
    return purpose_pb2.Notice(
        notice_id=notice.notice_id,
        version=notice.version,
        locale=notice.locale,
        text=notice.text,
        sha256=notice.sha256,
        purpose_ids=sorted(notice.purpose_ids),
        brand_id=notice.brand_id,
        published_at=stamp(notice.published_at),
        published_by=notice.published_by,
    )


# --- receipts ---------------------------------------------------------------------------------------------------------


def receipt_message(receipt_id: str, document: bytes, signature: bytes, kid: str) -> consent_pb2.Receipt:
    """Return a signed receipt as a message."""
    return consent_pb2.Receipt(receipt_id=receipt_id, document=document, signature=signature, kid=kid)


def signing_key_message(key: PublicKey) -> consent_pb2.SigningKey:
    """Return a public key as a message."""
    message = consent_pb2.SigningKey(kid=key.kid, public_key=key.public_key, active_from=stamp(key.active_from))
    if key.retired_at is not None:
        message.retired_at.CopyFrom(stamp(key.retired_at))
    return message


# --- authored versions of purposes ------------------------------------------------------------------------------------

_VERSION_STATES: Final = {
    "draft": purpose_pb2.VERSION_STATE_DRAFT,
    "active": purpose_pb2.VERSION_STATE_ACTIVE,
    "retired": purpose_pb2.VERSION_STATE_RETIRED,
}


def purpose_message(version: Version) -> purpose_pb2.Purpose:
    """Return a version of a purpose as a message."""
    message = purpose_pb2.Purpose(
        purpose_id=version.id,
        version=version.version,
        state=_VERSION_STATES[version.state],
        terms=purpose_pb2.PurposeTerms.FromString(version.body),
        created_at=stamp(version.created_at),
        decided_by=version.retired_by or version.decided_by or "",
        reason=version.retire_reason or version.reason or "",
    )
    if version.active_from is not None:
        message.active_from.CopyFrom(stamp(version.active_from))
    return message


def merged_terms(request: purpose_pb2.UpsertPurposeRequest, latest: PurposeTerms | None) -> purpose_pb2.PurposeTerms:
    """Return the terms a request wants: all of them, or with a mask only the fields named, the others as they were.

    Raises:
        RapportError: TERMS_INVALID: the mask names a field that terms do not have (AIP-134).
    """
    if not request.HasField("update_mask") or latest is None:
        return request.terms
    if not request.update_mask.IsValidForDescriptor(purpose_pb2.PurposeTerms.DESCRIPTOR):
        raise ERRORS.error("TERMS_INVALID", "the mask names a field that terms do not have", field="update_mask")
    merged = terms_message(latest)
    request.update_mask.MergeMessage(request.terms, merged, True, True)
    return merged
