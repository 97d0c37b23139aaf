"""What resolving needs of a transaction on the partition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from rapport_chassis.once import CallRecords

from rapport_identity.app.ports import DataKey
from rapport_identity.app.stored import (
    HeldRecord,
    IndexedRecord,
    KnownRecord,
    Move,
    RecordDraft,
    RecordedMove,
    SourceKey,
    StoredConstraint,
    StoredProfile,
    Times,
)
from rapport_identity.domain.identities import Passage
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.told import Told


class Position(Protocol):
    """A place in the history of the partition."""

    @property
    def epoch(self) -> str:
        """The partition's present life; compared for equality only."""
        ...

    @property
    def position(self) -> int:
        """The last position taken."""
        ...

    @property
    def recorded_at(self) -> datetime:
        """The time of a write to come."""
        ...

    @property
    def matcher_id(self) -> str:
        """The matcher that decides; empty while none was ever stored: then the one that ships."""
        ...


class Apart(NamedTuple):
    """Whom privacy requests concern.

    Attributes:
        frozen: Profiles that are held still.
        erased: Whether anybody was erased.
    """

    frozen: frozenset[str] = frozenset()
    erased: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What was written after one position and up to another."""

    records: Sequence[IndexedRecord]
    moves: Sequence[RecordedMove]
    constraints: Sequence[StoredConstraint]
    profiles: Sequence[StoredProfile]


@dataclass(slots=True)
class Write:
    """All that one transaction writes.

    Attributes:
        added: New records: number, profile, draft, and the key that the key store has committed.
        revised: New versions: the draft, and what is known of the record.
        created: Profiles whose ids are issued by it.
        changed: New versions of profiles.
        redirects: What issued ids stand for from now on.
        assigned: The profile of each record that changes hands.
        moves: The history of it.
        constraint: What a steward decided.
        withdrawn: The constraint taken back, and by whom.
        told: What others are told of it.
        parked: Records that frozen profiles kept out, each with the profile.
    """

    added: list[tuple[int, str, RecordDraft, DataKey]] = field(default_factory=list)
    revised: list[tuple[RecordDraft, KnownRecord]] = field(default_factory=list)
    created: list[StoredProfile] = field(default_factory=list)
    changed: list[StoredProfile] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    assigned: dict[int, str] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    constraint: StoredConstraint | None = None
    withdrawn: tuple[str, str] | None = None
    told: list[Told] = field(default_factory=list)
    parked: dict[int, str] = field(default_factory=dict)


class Unit(CallRecords, Protocol):
    """One transaction on the partition."""

    async def lock(self) -> Position:
        """Keep other writers out from now on and return the head: this transaction writes next, after it."""
        ...

    async def read(self) -> Position:
        """Return the committed head."""
        ...

    async def matcher(self, matcher_id: str) -> Matcher:
        """Return the weights of a matcher that is stored.

        Raises:
            RapportError: NOT_READY.
        """
        ...

    async def news(self, since: int, until: int) -> News:
        """Return what was written after one position and up to another."""
        ...

    async def find(
        self, drafts: Sequence[RecordDraft], fresh: int
    ) -> tuple[Mapping[SourceKey, KnownRecord], list[int]]:
        """Return those of the records that are known, and so many numbers that no record ever had."""
        ...

    async def numbers(self, count: int) -> list[int]:
        """Return so many numbers that no record ever had."""
        ...

    async def profiles(self, profile_ids: Collection[str]) -> dict[str, StoredProfile]:
        """Return the profiles with exactly these ids."""
        ...

    async def redirecting(self, profile_ids: Collection[str]) -> dict[str, list[str]]:
        """Return for each of these profiles every id that redirects to it."""
        ...

    async def standing(self, profile_ids: Collection[str]) -> tuple[dict[str, list[str]], dict[str, StoredProfile]]:
        """Return for each of these profiles every id that redirects to it, and the profiles with all these ids."""
        ...

    async def histories(
        self, record_nos: Collection[int], issued_ids: Collection[str]
    ) -> tuple[dict[int, list[Passage]], dict[str, list[Passage]]]:
        """Return how records, and ids, came to where they are."""
        ...

    async def versions(self) -> dict[str, int]:
        """Return the version of every profile that its own id stands for; those erased are left out."""
        ...

    async def apart(self) -> Apart:
        """Return whom privacy requests hold still, and whether anybody was ever erased."""
        ...

    async def constraints(self) -> list[StoredConstraint]:
        """Return all constraints in force."""
        ...

    async def stood_for(self, issued_ids: Collection[str], at: datetime) -> dict[str, str]:
        """Return what each of these ids stood for at a time; one that was not issued by then is left out."""
        ...

    async def members(self, profile_ids: Collection[str], at: datetime) -> dict[str, list[int]]:
        """Return the records that each of these profiles held at a time."""
        ...

    async def redirected(self, profile_ids: Collection[str], at: datetime) -> dict[str, list[str]]:
        """Return for each of these profiles every id that redirected to it at a time."""
        ...

    async def times(self, profile_ids: Collection[str]) -> dict[str, Times]:
        """Return when each of these profiles was made and last changed."""
        ...

    async def profiles_after(self, profile_id: str, since: datetime | None, limit: int) -> list[StoredProfile]:
        """Return profiles that stand for somebody, by id, after this one; only those that changed since a time."""
        ...

    async def held(self, numbers: Collection[int]) -> list[HeldRecord]:
        """Return records in clear, in the order of their numbers."""
        ...

    async def constraints_page(
        self, numbers: Collection[int] | None, after: tuple[datetime, str] | None, limit: int, *, withdrawn: bool
    ) -> list[StoredConstraint]:
        """Return constraints, the newest first: after the given one, on any of these records, also those withdrawn."""
        ...

    async def current(self, issued_ids: Collection[str]) -> dict[str, str]:
        """Return what each of these ids stands for now; one that was never issued is left out."""
        ...

    async def constraint(self, constraint_id: str) -> StoredConstraint | None:
        """Return a constraint."""
        ...

    async def write(self, write: Write) -> int:
        """Write all of it at the next position, and return that."""
        ...


class Loader(Protocol):
    """Reads all records, as a replica does when it starts."""

    def everything(self) -> AsyncIterator[list[IndexedRecord]]:
        """Yield all records that can be read, chunk by chunk, each chunk as of the moment it is read."""
        ...


class Units(Protocol):
    """Opens transactions on the partition."""

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        ...
