"""What storage takes and gives: records, profiles, moves, facts and constraints as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from rapport_identity.domain.facets import Facet, ProfileState
from rapport_identity.domain.folding import Values
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.sightings import Normal


class SourceKey(NamedTuple):
    """What a record is called in its source, or an event."""

    source: str
    id: str


class Term(NamedTuple):
    """Something by which a record is found: its kind, and its normal form in clear. Stored as a keyed hash only."""

    kind: int
    value: str


@dataclass(frozen=True, slots=True)
class RecordDraft:
    """A record to store.

    Attributes:
        key: What it is called in its source.
        payload: The record, serialised.
        terms: By what it is found.
        occurred_at: When the source wrote it.
        reading: The record as a replica holds it, serialised, so that a start need not read the payload; or empty.
    """

    key: SourceKey
    payload: bytes
    terms: tuple[Term, ...]
    occurred_at: datetime
    reading: bytes = b""


@dataclass(frozen=True, slots=True)
class Submission:
    """A record that a source sends.

    Attributes:
        draft: As it is stored.
        record: As it is matched.
        facet: What others may know of it.
        dated: Whether its source says when it wrote it; if not, it counts from when it is recorded.
        identifiers: Its identifiers that name somebody, as they are compared.
        values: All that is folded of it, in the order of the index; empty where that is still to be done.
    """

    draft: RecordDraft
    record: Record
    facet: Facet
    dated: bool
    identifiers: tuple[Normal, ...]
    values: Values = ()


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """What is known of a record without reading its value.

    Attributes:
        record_no: Its number, by which all else refers to it.
        record_id: Its id.
        profile_id: The profile it belongs to.
        version: Its version; each new payload is one more.
        key_id: Its data key.
        occurred_at: When the source wrote its present version.
        unchanged: Whether its payload is, byte for byte, the one that was asked about.
    """

    record_no: int
    record_id: str
    profile_id: str
    version: int
    key_id: bytes
    occurred_at: datetime
    unchanged: bool


class HeldRecord(NamedTuple):
    """A record as it is held. A tuple, because a start reads all of them.

    Attributes:
        record_no: Its number.
        profile_id: The profile it belongs to.
        recorded_under: The id that its profile had when it was first recorded.
        version: Its version.
        position: Position of the write that made this version.
        recorded_at: When that was.
        payload: The record, serialised; None if it was erased.
        reading: The record as a replica holds it, serialised; empty where it was written without.
    """

    record_no: int
    profile_id: str
    recorded_under: str
    version: int
    position: int
    recorded_at: datetime
    payload: bytes | None
    reading: bytes = b""


class IndexedContent(NamedTuple):
    """What a replica holds of a record: what its source calls it, all that is folded of it, and its facet."""

    key: RecordKey
    values: Values
    facet: Facet


class IndexedRecord(NamedTuple):
    """A record as a replica holds it; without content if it was erased."""

    record_no: int
    profile_id: str
    content: IndexedContent | None


class ProfileStatus(StrEnum):
    """Where a profile stands."""

    ACTIVE = "active"
    FROZEN = "frozen"
    MERGED = "merged"
    """Its id redirects to another one. It goes on, with a higher version, if a split brings it back."""
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """A profile.

    Attributes:
        profile_id: Its id.
        version: Rises with each change, also while it is merged.
        status: Where it stands.
        state: All that others may know of it.
    """

    profile_id: str
    version: int
    status: ProfileStatus
    state: ProfileState


class Times(NamedTuple):
    """When a profile was made, and when it last changed."""

    created_at: datetime
    updated_at: datetime


class MoveKind(StrEnum):
    """What a move moves."""

    RECORD = "record"
    """A record enters its first profile, or goes from one to another, or is erased out of one."""
    REDIRECT = "redirect"
    """An id stands for another profile from now on, or for itself again. Until its first one it stands for itself."""


@dataclass(frozen=True, slots=True)
class Move:
    """One step of the history of the partition: nothing that stands in it is ever changed.

    Attributes:
        kind: What moves.
        from_profile: Where a record comes from, empty if it is new; or the id that is redirected.
        to_profile: Where it goes; empty for a record that is erased.
        record_no: The record; None in a redirect.
        matcher: Id of the matcher that decided; empty if it did not.
        cause: Who decided, as a code.
    """

    kind: MoveKind
    from_profile: str
    to_profile: str
    record_no: int | None
    matcher: str
    cause: str


@dataclass(frozen=True, slots=True)
class RecordedMove:
    """A move with its place in the history."""

    position: int
    recorded_at: datetime
    move: Move


@dataclass(frozen=True, slots=True)
class StoredFact:
    """A touchpoint, stripped of all that identifies, as a split needs it to issue it again.

    Attributes:
        fact_id: Its id, which it keeps wherever it goes.
        record_no: The record under which it came.
        profile_id: Whose it is.
        owner_version: Version of that profile when it became its owner.
        type: What kind of touchpoint.
        payload: The touchpoint, serialised.
        occurred_at: When it happened, in the world.
        recorded_at: When it was first recorded here.
        permitted: Purposes that it may serve, those included that the gate permitted after the payload was written.
    """

    fact_id: str
    record_no: int
    profile_id: str
    owner_version: int
    type: str
    payload: bytes
    occurred_at: datetime
    recorded_at: datetime
    permitted: tuple[str, ...] = ()


class ConstraintKind(StrEnum):
    """What a constraint demands."""

    MUST_MATCH = "must_match"
    NEVER_MATCH = "never_match"


@dataclass(frozen=True, slots=True)
class StoredConstraint:
    """A steward's decision about records.

    Attributes:
        constraint_id: Its id.
        kind: What it demands.
        groups: Numbers of the records it binds: one group that must match, or groups none of which may match another.
        created_at: When it was recorded.
        created_by: Subject of the operator.
        reason: Why, as a code.
        review_id: The review it answers; empty for none.
        withdrawn_at: When it was withdrawn; None while it is in force.
        withdrawn_by: Subject of the operator who did; empty while it is in force.
    """

    constraint_id: str
    kind: ConstraintKind
    groups: tuple[tuple[int, ...], ...]
    created_at: datetime
    created_by: str
    reason: str
    review_id: str = ""
    withdrawn_at: datetime | None = None
    withdrawn_by: str = ""
