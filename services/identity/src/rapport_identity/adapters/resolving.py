"""The transaction of a resolver in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from rapport_chassis.audit import AuditTrail
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.once import Deed, Request

from rapport_identity.adapters import answered, constraints, facts, matchers, moves, parked, profiles, records
from rapport_identity.adapters.bulk import COPY_FROM, Change, Target, Together
from rapport_identity.adapters.crypto import Hasher
from rapport_identity.adapters.head import Head
from rapport_identity.adapters.partition import PartitionStore, PartitionUnit
from rapport_identity.adapters.vault import SealedRecord, seal_new, seal_revision
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
from rapport_identity.domain.told import ProfileSplit
from rapport_identity.translate.events import SOURCE, events_of
from rapport_identity.translate.records import indexed_of

# By a merge came who came from a profile whose own id was redirected there by the same write.
_BY_MERGE: Final = """
EXISTS (SELECT FROM moves AS turn WHERE turn.kind = 'redirect' AND turn.from_profile = came.came_from
    AND turn.to_profile = came.to_profile AND turn.position = came.position)
"""
_OF_RECORDS: Final = f"""
SELECT record_no, to_profile, {_BY_MERGE} FROM (SELECT *, from_profile AS came_from FROM moves
    WHERE record_no = ANY (%s)) AS came ORDER BY position, ordinal
"""  # noqa: S608 - made of constants
_OF_IDS: Final = f"""
SELECT from_profile, to_profile, {_BY_MERGE} FROM (
    SELECT *, lag(to_profile) OVER (PARTITION BY from_profile ORDER BY position, ordinal) AS came_from FROM moves
    WHERE kind = 'redirect' AND from_profile = ANY (%s)) AS came ORDER BY position, ordinal
"""  # noqa: S608 - made of constants
_VERSIONS: Final = "SELECT profile_id, version FROM profiles WHERE status IN ('active', 'frozen')"


class ResolvingUnit:
    """A `Unit`.

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
        self._head: Head | None = None
        self._together = Together()
        self._wrote = False
        self._events: list[Event] = []

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
        held = await records.opened(await records.since(self._connection, since, until), self._keys)
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
        return await self._records.find_and_number(drafts, fresh)

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
        return (
            _grouped(await (await self._connection.execute(_OF_RECORDS, (list(record_nos),))).fetchall()),
            _grouped(await (await self._connection.execute(_OF_IDS, (list(issued_ids),))).fetchall()),
        )

    async def versions(self) -> dict[str, int]:
        """Return the version of every profile that its own id stands for."""
        return dict(await (await self._connection.execute(_VERSIONS)).fetchall())

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
        return await records.opened(await records.named(self._connection, numbers), self._keys)

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
        head = self._at
        hasher = self._unit.hasher(head)
        sealed = seal_new([draft for _, _, draft, _ in write.added], [key for *_, key in write.added], hasher)
        revised = await self._sealed_again(write, hasher)
        at = head.recorded_at
        messages = (message for told in write.told for message in events_of(told, at))
        self.tell([event_of(each, source=SOURCE, occurred_at=at) for each in messages])
        if write.added:
            rows = [(number, to, each) for (number, to, _, _), each in zip(write.added, sealed, strict=True)]
            await self._records.add(head, rows, self.target(sum(1 + len(each.identifiers) for each in sealed)))
        if revised:
            await self._records.revise(head, revised)
        await self._write_profiles(head, write)
        await moves.add(self.target(len(write.moves)), head, write.moves)
        if write.parked:
            await parked.park(self._connection, write.parked)
        if left := _left(write):
            await facts.issue_again(self._connection, head, left)
        position = await self._unit.advance(head, self._together)
        self._wrote = True
        if not write.added:  # a steward is answered by what can be read now
            await self.flush()
        return position

    def target(self, rows: int) -> Target:
        """Return where so many rows are best written: few of them together with all else, at the end."""
        return self._together if rows < COPY_FROM else self._connection

    def tell(self, events: Sequence[Event]) -> None:
        """Publish events when this transaction commits."""
        self._events += events

    async def flush(self) -> None:
        """Write what is left to write, as the last statements of this transaction."""
        if not self._events and not self._together:
            return
        if 0 < len(self._events) < COPY_FROM:
            statement, values = outbox.insertion(self._events)
            written = Change(f"{statement} RETURNING 1", values, len(self._events), "an event was not written")
            await written.write(self._together)
            await Change(outbox.HINT, (), 1, "the relay was not woken").write(self._together)
        else:
            await outbox.append(self._connection, self._events)
        if self._together:
            await self._together.write(self._connection)
        if self._wrote:
            self._unit.written()
        self._together, self._events, self._wrote = Together(), [], False

    async def _sealed_again(self, write: Write, hasher: Hasher) -> list[tuple[int, SealedRecord]]:
        if not write.revised:
            return []
        secrets = await self._keys.get([known.key_id for _, known in write.revised])
        if len(secrets) < len(write.revised):
            raise CHASSIS_ERRORS.error("NOT_READY", "a record is being erased: repeat when that is done")
        return [(known.record_no, seal_revision(draft, known, secrets, hasher)) for draft, known in write.revised]

    async def _write_profiles(self, head: Head, write: Write) -> None:
        # What is redirected may have been issued just now, and must be seen then.
        issuing = self._connection if write.redirects else self.target(len(write.created))
        if write.created:
            await profiles.create(issuing, head, write.created)
        if write.changed:
            await profiles.change(self._together, head, write.changed)
        if write.redirects:
            await profiles.redirect(self._together, write.redirects)
        if write.assigned:
            await self._records.assign(write.assigned, self._together)
        if write.constraint is not None:
            await constraints.add(self._connection, head, write.constraint)
        if write.withdrawn is not None:
            constraint_id, actor = write.withdrawn
            await constraints.withdraw(self._connection, head, constraint_id, actor=actor)

    @property
    def _at(self) -> Head:
        if self._head is None:
            raise RuntimeError("the head was not looked at in this transaction")
        return self._head

    @property
    def _records(self) -> records.Records:
        return self._unit.records(self._at)


class ResolvingUnits:
    """Opens transactions for a resolver.

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


def _left(write: Write) -> dict[int, tuple[str, int]]:
    """Return the records that left a profile which fell apart, each with the profile it went to and its version."""
    split = {told.left_id for told in write.told if isinstance(told, ProfileSplit)}
    versions = {each.profile_id: each.version for each in (*write.created, *write.changed)}
    gone = {move.record_no for move in write.moves if move.record_no is not None and move.from_profile in split}
    return {number: (to := write.assigned[number], versions[to]) for number in sorted(gone)}


def _grouped(rows: Sequence[tuple[Any, str, bool]]) -> dict[Any, list[Passage]]:
    found: dict[Any, list[Passage]] = {}
    for name, profile_id, by_merge in rows:
        found.setdefault(name, []).append(Passage(profile_id, by_merge))
    return found
