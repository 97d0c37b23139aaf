"""`Unit`: one transaction on the partition, as those who resolve see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from rapport_chassis.audit import AuditTrail
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import RapportError
from rapport_chassis.events.envelope import Event
from rapport_chassis.once import Deed, Request

from rapport_identity.adapters import answered, constraints, held_records, matchers, moves, parked, profiles
from rapport_identity.adapters.bulk import Target
from rapport_identity.adapters.crypto import Hasher
from rapport_identity.adapters.head import Head
from rapport_identity.adapters.partition import PartitionStore, PartitionUnit
from rapport_identity.adapters.records import Records
from rapport_identity.adapters.writing import Writing
from rapport_identity.app.ports import KeyStore
from rapport_identity.app.stored import (
    HeldRecord,
    KnownRecord,
    RecordDraft,
    SourceKey,
    StoredConstraint,
    StoredProfile,
    Times,
)
from rapport_identity.app.units import Apart, News, Write
from rapport_identity.domain.identities import Passage
from rapport_identity.domain.matcher import Matcher
from rapport_identity.translate.records import indexed_of


class ResolvingUnit:
    """`Unit`: reads the partition as of the head, and what it writes becomes the next position.

    Args:
        unit: The transaction.
        keys: The key store.
        trail: The audit trail.
    """

    def __init__(self, unit: PartitionUnit, keys: KeyStore, trail: AuditTrail) -> None:
        self._unit = unit
        self._connection = unit.connection
        self._keys = keys
        self._trail = trail
        self._writing = Writing(unit, keys)
        self._head: Head | None = None

    @property
    def connection(self) -> Connection:
        """Where this transaction is, for what else is written in it."""
        return self._connection

    @property
    def hasher(self) -> Hasher:
        """What hashes under the versions in use at the head.

        Raises:
            RapportError: NOT_READY: a hash key has not come to this process yet.
        """
        return self._unit.hasher(self._at)

    @property
    def declared(self) -> tuple[int, ...]:
        """What differs whenever a declaration was activated or retired before this transaction locked the partition."""
        declared = self._at.declared
        assert declared is not None, "what is declared is asked under the lock"
        return declared

    async def lock(self) -> Head:
        """Keep other writers out from now on and return the head: this transaction writes next, after it."""
        self._head = await self._unit.lock(hold=True)
        return self._head

    async def read(self) -> Head:
        """Return the committed head."""
        self._head = await self._unit.read()
        return self._head

    async def matcher(self, matcher_id: str) -> Matcher:
        """Return the weights of a matcher that is stored."""
        return await matchers.weights(self._connection, self._keys, matcher_id)

    async def news(self, since: int, until: int) -> News:
        """Return what was written after one position and up to another."""
        held = await held_records.opened(await held_records.since(self._connection, since, until), self._keys)
        return News(
            [indexed_of(each) for each in held],
            await moves.since(self._connection, since, until),
            await constraints.since(self._connection, since, until),
            await profiles.since(self._connection, since, until),
        )

    async def find(
        self, drafts: Sequence[RecordDraft], fresh: int
    ) -> tuple[Mapping[SourceKey, KnownRecord], list[int]]:
        """Return those of the records that are known, and so many numbers that no record ever had."""
        return await self._records.find(drafts, fresh)

    async def numbers(self, count: int) -> list[int]:
        """Return so many numbers that no record ever had."""
        return await self._records.numbers(count) if count else []

    async def profiles(self, profile_ids: Collection[str]) -> dict[str, StoredProfile]:
        """Return the profiles with exactly these ids."""
        return await profiles.get(self._connection, profile_ids) if profile_ids else {}

    async def redirecting(self, profile_ids: Collection[str]) -> dict[str, list[str]]:
        """Return for each of these profiles every id that redirects to it."""
        return await profiles.redirecting(self._connection, profile_ids) if profile_ids else {}

    async def standing(self, profile_ids: Collection[str]) -> tuple[dict[str, list[str]], dict[str, StoredProfile]]:
        """Return for each of these profiles every id that redirects to it, and the profiles with all these ids."""
        return await profiles.standing(self._connection, profile_ids) if profile_ids else ({}, {})

    async def histories(
        self, record_nos: Collection[int], issued_ids: Collection[str]
    ) -> tuple[dict[int, list[Passage]], dict[str, list[Passage]]]:
        """Return how records, and ids, came to where they are."""
        return await moves.histories(self._connection, record_nos, issued_ids)

    async def versions(self) -> dict[str, int]:
        """Return the version of every profile that its own id stands for."""
        return await profiles.versions(self._connection)

    async def apart(self) -> Apart:
        """Return whom privacy requests hold still, and whether anybody was ever erased."""
        return await parked.apart(self._connection)

    async def constraints(self) -> list[StoredConstraint]:
        """Return all constraints in force."""
        return await constraints.in_force(self._connection)

    async def stood_for(self, issued_ids: Collection[str], at: datetime) -> dict[str, str]:
        """Return what each of these ids stood for at a time; one that was not issued by then is left out."""
        return await moves.stood_for(self._connection, issued_ids, at)

    async def members(self, profile_ids: Collection[str], at: datetime) -> dict[str, list[int]]:
        """Return the records that each of these profiles held at a time."""
        return await moves.members(self._connection, profile_ids, at)

    async def redirected(self, profile_ids: Collection[str], at: datetime) -> dict[str, list[str]]:
        """Return for each of these profiles every id that redirected to it at a time."""
        return await moves.redirected(self._connection, profile_ids, at)

    async def times(self, profile_ids: Collection[str]) -> dict[str, Times]:
        """Return when each of these profiles was made and last changed."""
        return await profiles.times(self._connection, profile_ids)

    async def profiles_after(self, profile_id: str, since: datetime | None, limit: int) -> list[StoredProfile]:
        """Return profiles that stand for somebody, by id, after this one; only those that changed since a time."""
        return await profiles.after(self._connection, profile_id, since, limit)

    async def held(self, numbers: Collection[int]) -> list[HeldRecord]:
        """Return records in clear, in the order of their numbers."""
        return await held_records.opened(await held_records.named(self._connection, numbers), self._keys)

    async def constraints_page(
        self, numbers: Collection[int] | None, after: tuple[datetime, str] | None, limit: int, *, withdrawn: bool
    ) -> list[StoredConstraint]:
        """Return constraints, the newest first: after the given one, on any of these records, also those withdrawn."""
        return await constraints.page(self._connection, numbers, after, limit, withdrawn=withdrawn)

    async def current(self, issued_ids: Collection[str]) -> dict[str, str]:
        """Return what each of these ids stands for now; one that was never issued is left out."""
        return await profiles.current(self._connection, issued_ids)

    async def constraint(self, constraint_id: str) -> StoredConstraint | None:
        """Return a constraint."""
        return await constraints.get(self._connection, constraint_id)

    async def earlier(self, requests: Sequence[Request]) -> list[bytes | RapportError | None]:
        """Return what each was answered before: None if new, REQUEST_ID_REUSED if its id came with another body."""
        return await answered.earlier(self._connection, requests)

    async def keep(self, answers: Sequence[tuple[Request, bytes]]) -> None:
        """Keep what requests are answered."""
        await answered.keep(self.target(len(answers)), answers)

    async def audit(self, deed: Deed) -> None:
        """Enter into the audit trail what is done in this transaction."""
        await self._trail.append(self._connection, **deed._asdict(), outcome="allowed")

    async def write(self, write: Write) -> int:
        """Write all of it at the next position, and return that."""
        return await self._writing.write(self._at, write)

    def target(self, rows: int) -> Target:
        """Return where so many rows are best written: few of them together with all else, at the end."""
        return self._writing.target(rows)

    def tell(self, events: Sequence[Event]) -> None:
        """Publish events when this transaction commits."""
        self._writing.tell(events)

    async def flush(self) -> None:
        """Write what is left to write, as the last statements of this transaction."""
        await self._writing.flush()

    @property
    def _at(self) -> Head:
        if self._head is None:
            raise RuntimeError("the head was not looked at in this transaction")
        return self._head

    @property
    def _records(self) -> Records:
        return self._unit.records(self._at)


class ResolvingUnits:
    """`Units`.

    Args:
        store: The partition.
        keys: The key store.
        clock: Says when something was entered into the audit trail.
    """

    def __init__(self, store: PartitionStore, keys: KeyStore, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._trail = AuditTrail(clock)

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[ResolvingUnit]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        async with self._store.unit() as unit:
            resolving = ResolvingUnit(unit, self._keys, self._trail)
            yield resolving
            await resolving.flush()
