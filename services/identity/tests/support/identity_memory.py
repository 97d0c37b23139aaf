"""The partition in memory: what resolving needs of a database, and nothing else of one.

The use cases, the index and the history of ids above it are those that serve.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, islice
from typing import Final, cast

from rapport_identity.app.partition import Partition
from rapport_identity.app.ports import DataKey
from rapport_identity.app.resolve import ResolveRecords
from rapport_identity.app.stored import (
    IndexedRecord,
    KnownRecord,
    MoveKind,
    RecordDraft,
    SourceKey,
    StoredProfile,
    Submission,
)
from rapport_identity.app.units import Apart, Unit, Write
from rapport_identity.domain.facets import Facet
from rapport_identity.domain.identities import Passage
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.told import ProfilesMerged, ProfileSplit

_WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_FACET: Final = Facet((), anonymous=False, brand_id="", market="", locale="", time_zone="", occurred_at=_WHEN)


@dataclass(slots=True)
class Memory:
    """`Units`, `Loader` and `Keys`, for one process without a past that takes each record once.

    Attributes:
        position: Of the last write.
        moved: Records that went from one profile to another: their public id changed.
        merges: Merges of profiles.
        splits: Splits of profiles.
    """

    position: int = 0
    moved: set[int] = field(default_factory=set)
    merges: int = 0
    splits: int = 0
    epoch: str = "memory"
    matcher_id: str = ""
    recorded_at: datetime = _WHEN
    _profiles: dict[str, StoredProfile] = field(default_factory=dict)
    _stands_for: dict[str, str] = field(default_factory=dict)
    _redirecting: dict[str, set[str]] = field(default_factory=dict)
    _records: dict[int, list[Passage]] = field(default_factory=dict)
    _ids: dict[str, list[Passage]] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        """Give a transaction, of which there is one at a time."""
        yield cast("Unit", self)

    async def lock(self) -> Memory:
        """Return the head."""
        return self

    read = lock

    async def everything(self) -> AsyncIterator[list[IndexedRecord]]:
        """Yield nothing: there is no past."""
        for chunk in list[list[IndexedRecord]]():
            yield chunk

    async def take(self, count_: int) -> list[DataKey]:
        """Return keys that encrypt nothing."""
        return [DataKey(b"", b"")] * count_

    async def find(self, _: object, fresh: int) -> tuple[Mapping[SourceKey, KnownRecord], list[int]]:
        """Return that none is known, and numbers."""
        return {}, await self.numbers(fresh)

    async def numbers(self, count_: int) -> list[int]:
        """Return so many numbers."""
        return list(islice(self._numbers, count_))

    async def constraints(self) -> list[object]:
        """Return none."""
        return []

    async def versions(self) -> dict[str, int]:
        """Return none: this is asked at the start."""
        return {}

    async def apart(self) -> Apart:
        """Return that no privacy request concerns anybody."""
        return Apart()

    async def standing(self, profile_ids: Collection[str]) -> tuple[dict[str, list[str]], dict[str, StoredProfile]]:
        """Return for each profile the ids that redirect to it, and the profiles with all these ids."""
        redirecting = {each: sorted(self._redirecting.get(each, ())) for each in profile_ids}
        named = {*profile_ids}.union(*redirecting.values())
        return redirecting, {each: self._profiles[each] for each in named}

    async def histories(
        self, record_nos: Collection[int], issued_ids: Collection[str]
    ) -> tuple[dict[int, list[Passage]], dict[str, list[Passage]]]:
        """Return how records, and ids, came to where they are."""
        return {each: self._records[each] for each in record_nos}, {each: self._ids[each] for each in issued_ids}

    async def write(self, write: Write) -> int:
        """Take it down."""
        self.position += 1
        self.merges += sum(isinstance(each, ProfilesMerged) for each in write.told)
        self.splits += sum(isinstance(each, ProfileSplit) for each in write.told)
        self._profiles.update((each.profile_id, each) for each in (*write.created, *write.changed))
        turned = {
            (move.from_profile, move.to_profile)
            for move in write.moves
            if move.kind is MoveKind.REDIRECT and move.from_profile != move.to_profile
        }
        for move in write.moves:
            if move.kind is MoveKind.REDIRECT:
                came_from = self._stands_for.get(move.from_profile, move.from_profile)
                passage = Passage(move.to_profile, (came_from, move.to_profile) in turned)
                self._ids.setdefault(move.from_profile, []).append(passage)
                self._turn(move.from_profile, came_from, move.to_profile)
            elif move.record_no is not None:
                if move.from_profile:
                    self.moved.add(move.record_no)
                passage = Passage(move.to_profile, (move.from_profile, move.to_profile) in turned)
                self._records.setdefault(move.record_no, []).append(passage)
        return self.position

    def _turn(self, issued_id: str, before: str, after: str) -> None:
        self._stands_for[issued_id] = after
        self._redirecting.get(before, set()).discard(issued_id)
        if after != issued_id:
            self._redirecting.setdefault(after, set()).add(issued_id)


class InMemory:
    """A service without a database: takes records as they arrive.

    Args:
        matcher: The one that decides.
    """

    def __init__(self, matcher: Matcher) -> None:
        self.memory = Memory()
        self.partition = Partition(self.memory, self.memory, matcher, "memory")
        self._resolve = ResolveRecords(self.partition, self.memory)

    async def feed(self, records: Sequence[Record]) -> None:
        """Resolve a micro-batch."""
        await self._resolve([_submission(each) for each in records])

    def persons(self) -> set[tuple[RecordKey, ...]]:
        """Return who is who."""
        replica = self.partition.replica
        return {_keys(replica.index[number].key for number in numbers) for numbers in replica.members.values()}


def _keys(keys: Iterable[RecordKey]) -> tuple[RecordKey, ...]:
    return tuple(sorted(keys))


def _submission(record: Record) -> Submission:
    draft = RecordDraft(SourceKey(*record.key), b"", (), _WHEN)
    return Submission(draft, record, _FACET, dated=True, identifiers=())
