"""What a ledger write changed, as gates are told of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, cast

from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import events_pb2, ledger_pb2
from rapport_chassis.events import envelope
from rapport_chassis.events.envelope import Event
from rapport_chassis.times import moment, set_stamp, stamp

from rapport_consent.app.ledger import Token
from rapport_consent.domain.changes import LedgerChange, SubjectChange
from rapport_consent.domain.rows import NEGATIVES, STATUS_OF, LedgerRow, RowKind
from rapport_consent.domain.states import Fence, KeyState, Restriction, SubjectState
from rapport_consent.translate.purposes import purpose_state

_URGENT: Final = NEGATIVES | {RowKind.RESTRICT, RowKind.FENCE}
_DECIDED: Final = {RowKind.GRANT: events_pb2.ConsentGranted, RowKind.OBJECT: events_pb2.ObjectionRecorded}
_SOURCE: Final = "consent"


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
        set_stamp(message.occurred_at, row.occurred_at)
        if kind is RowKind.GRANT:
            message.evidence = _evidence_kind(row)
        elif kind is not RowKind.OBJECT:
            message.status = status_message(kind)
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
        message, source=_SOURCE, occurred_at=row.occurred_at, event_id=event_id, urgent=kind in _URGENT
    )


def change_in(event: Event) -> ledger_pb2.LedgerChange:
    """Return what a gate is told by the event of a ledger write."""
    message: Any = event.message
    return cast(ledger_pb2.LedgerChange, message.change)


def _tell(message: ledger_pb2.LedgerChange, change: LedgerChange, epoch: str) -> None:
    row = change.row
    message.epoch = epoch
    message.position = row.position
    set_stamp(message.recorded_at, row.recorded_at)
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
    set_stamp(message.decided_at, state.decided_at)
    message.reference = state.reference
    message.notice_id = state.notice_id
    message.notice_version = state.notice_version
    message.evidence = state.evidence  # type: ignore[assignment] # the numbers are the contract's
    message.granting_ids.extend(state.granting_ids(at))
    if state.expires_at is not None:
        set_stamp(message.expires_at, state.expires_at)
    if state.reask_not_before is not None:
        set_stamp(message.reask_not_before, state.reask_not_before)


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


def withhold(states: Iterable[ledger_pb2.KeyState], until: datetime | None) -> None:
    """Let grants decided up to a time count as no decision; None: none is in doubt."""
    if until is None:
        return
    for state in states:
        if state.status == ledger_pb2.CONSENT_STATUS_GRANTED and moment(state.decided_at) <= until:
            state.status = ledger_pb2.CONSENT_STATUS_UNSPECIFIED
            del state.granting_ids[:]


def position_message(token: Token) -> freshness_pb2.LedgerPosition:
    """Return a freshness token as a message."""
    return freshness_pb2.LedgerPosition(epoch=token.epoch, position=token.position)


def status_message(kind: RowKind) -> ledger_pb2.ConsentStatus.ValueType:
    """Return the status that a decision of this kind comes to."""
    return ledger_pb2.ConsentStatus.ValueType(STATUS_OF[kind])


def _evidence_kind(row: LedgerRow) -> ledger_pb2.EvidenceKind.ValueType:
    return ledger_pb2.EvidenceKind.ValueType(row.evidence.kind if row.evidence else 0)
