"""Events of the ledger's own stream, read back as rows: what a restored ledger has lost, its stream still tells.

A row comes back without what no event carries: its receipt, the market and language, and how it was captured. The
event itself is its proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rapport.consent.v1 import events_pb2, ledger_pb2
from rapport_chassis.times import moment
from rapport_privacy.vocabulary import Status

from rapport_consent.app.ledger import Known
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.evidence import DeclaredEvidence, Evidence, ImportedEvidence
from rapport_consent.domain.rows import KIND_OF, LedgerRow, PartitionChange, ResultingProfile, RowKind

EVENTS: Final = (
    events_pb2.ConsentGranted,
    events_pb2.ConsentWithdrawn,
    events_pb2.ObjectionRecorded,
    events_pb2.RestrictionPlaced,
    events_pb2.RestrictionLifted,
    events_pb2.ConsentsMerged,
    events_pb2.ConsentsSplit,
    events_pb2.FenceRaised,
    events_pb2.PurposeChanged,
)
"""Every event that tells of a row."""

_RULE: Final = "RESTORED"
_PLAIN: Final = {
    events_pb2.RestrictionPlaced: RowKind.RESTRICT,
    events_pb2.RestrictionLifted: RowKind.LIFT,
    events_pb2.ConsentsMerged: RowKind.MERGE,
    events_pb2.ConsentsSplit: RowKind.SPLIT,
    events_pb2.FenceRaised: RowKind.FENCE,
}


@dataclass(frozen=True, slots=True)
class Told:
    """An event that tells of a row.

    Attributes:
        message: The event.
        occurred_at: When it happened, in the world.
        origin: Where it is, for example "RAPPORT_CONSENT 1234".
        sha256: Digest of its bytes.
    """

    message: Any
    occurred_at: datetime
    origin: str
    sha256: bytes

    @property
    def change(self) -> ledger_pb2.LedgerChange:
        """What the row changed."""
        change: ledger_pb2.LedgerChange = self.message.change
        return change

    @property
    def reference(self) -> str:
        """The row's ledger event id; empty for a merge, a split, or a change of a purpose."""
        return getattr(self.message, "reference", "")

    @property
    def ids(self) -> set[str]:
        """Every id that the row may concern."""
        subjects = self.change.subjects
        named = {self.change.named_id, self.change.current_id, *(each.profile_id for each in subjects)}
        return named.union(*(each.redirect_ids for each in subjects)) - {""}

    @property
    def stands_alone(self) -> bool:
        """Whether it is more than a decision of one person, so that others have to wait for what it changes."""
        return not isinstance(self.message, EVENTS[:5])


def row_of(told: Told, known: Known, *, erased_by: str) -> LedgerRow | None:
    """Return the row that an event tells of, at the next position; None for a grant that was void when it was made.

    Args:
        told: The event; not one of a purpose.
        known: The ledger, with what is known of the ids that it names.
        erased_by: Stands for the request that asked for an erasure.
    """
    draft = _draft(told, erased_by)
    if draft is None:
        return None
    row = known.take(told.change.named_id, draft)
    return row._replace(
        recorded_at=moment(told.change.recorded_at),
        reference=told.reference or row.reference,
        partition=_partition(told, known) if draft.kind in (RowKind.MERGE, RowKind.SPLIT) else None,
    )


def _draft(told: Told, erased_by: str) -> Draft | None:
    message = told.message
    if (kind := _PLAIN.get(type(message))) is not None:
        ground = {RowKind.RESTRICT: getattr(message, "ground", ""), RowKind.FENCE: erased_by}.get(kind, "")
        return Draft(kind, told.occurred_at, ground=ground)
    states = (state for subject in told.change.subjects for state in subject.states)
    state = next((state for state in states if state.reference == message.reference), None)
    if isinstance(message, events_pb2.ConsentGranted):
        if state is None:
            return None
        return Draft(
            RowKind.GRANT,
            told.occurred_at,
            message.purpose_id,
            message.brand_id,
            expires_at=moment(state.expires_at) if state.HasField("expires_at") else None,
            notice_id=state.notice_id,
            notice_version=state.notice_version,
            evidence=_evidence(told),
        )
    objected = isinstance(message, events_pb2.ObjectionRecorded)
    has_pause = state is not None and state.HasField("reask_not_before")
    return Draft(
        RowKind.OBJECT if objected else KIND_OF[Status(message.status)],
        told.occurred_at,
        message.purpose_id,
        message.brand_id,
        reask_not_before=moment(state.reask_not_before) if has_pause and state is not None else None,
    )


def _evidence(told: Told) -> Evidence:
    if told.message.evidence == ledger_pb2.EVIDENCE_KIND_DECLARED:
        return DeclaredEvidence(_RULE)
    return ImportedEvidence(told.origin, moment(told.change.recorded_at), told.sha256)


def _partition(told: Told, known: Known) -> PartitionChange:
    """Who is who since, as identity's own event will say again: with no higher versions than that one has."""
    partition = known.history.partition
    profiles = tuple(
        ResultingProfile(
            subject.profile_id,
            1 + max(partition.version_of(each) for each in (subject.profile_id, *subject.redirect_ids)),
            tuple(subject.redirect_ids),
        )
        for subject in told.change.subjects
    )
    change = PartitionChange(told.message.identity_event_id, profiles)
    if not isinstance(told.message, events_pb2.ConsentsSplit):
        return change
    issued = change.ids - partition.family_of(told.change.named_id)
    return PartitionChange(change.identity_event_id, profiles, tuple(sorted(issued)))
