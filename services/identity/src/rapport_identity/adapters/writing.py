"""Writes what a transaction decided, at the next position: a few rows of many tables in one statement at its end."""

from __future__ import annotations

from collections.abc import Sequence

from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import Event, event_of

from rapport_identity.adapters import constraints, facts, moves, parked, profiles
from rapport_identity.adapters.bulk import COPY_FROM, Change, Target, Together
from rapport_identity.adapters.crypto import Hasher
from rapport_identity.adapters.head import Head
from rapport_identity.adapters.partition import PartitionUnit
from rapport_identity.adapters.vault import SealedRecord, seal_new, seal_revision
from rapport_identity.app.ports import KeyStore
from rapport_identity.app.units import Write
from rapport_identity.domain.told import ProfileSplit
from rapport_identity.translate.events import SOURCE, events_of


class Writing:
    """What one transaction writes.

    Args:
        unit: The transaction.
        keys: The key store.
    """

    def __init__(self, unit: PartitionUnit, keys: KeyStore) -> None:
        self._unit = unit
        self._connection = unit.connection
        self._keys = keys
        self._together = Together()
        self._events: list[Event] = []
        self._advanced = False

    def target(self, rows: int) -> Target:
        """Return where so many rows are best written: few of them together with all else, at the end."""
        return self._together if rows < COPY_FROM else self._connection

    def tell(self, events: Sequence[Event]) -> None:
        """Publish events when this transaction commits."""
        self._events += events

    async def write(self, head: Head, write: Write) -> int:
        """Write all of it at the position after the head, which this transaction holds, and return that.

        Raises:
            RapportError: NOT_READY: a hash key has not come to this process yet, or a record is being erased.
        """
        hasher = self._unit.hasher(head)
        sealed = seal_new([draft for _, _, draft, _ in write.added], [key for *_, key in write.added], hasher)
        revised = await self._sealed_again(write, hasher)
        at = head.recorded_at
        messages = (message for told in write.told for message in events_of(told, at))
        self.tell([event_of(each, source=SOURCE, occurred_at=at) for each in messages])
        records = self._unit.records(head)
        if write.added:
            rows = [(number, to, each) for (number, to, _, _), each in zip(write.added, sealed, strict=True)]
            await records.add(head, rows, self.target(sum(1 + len(each.identifiers) for each in sealed)))
        if revised:
            await records.revise(head, revised)
        await self._write_profiles(head, write)
        if write.assigned:
            await records.assign(write.assigned, self._together)
        await self._write_constraints(head, write)
        await moves.add(self.target(len(write.moves)), head, write.moves)
        if write.parked:
            await parked.park(self._connection, write.parked)
        if left := _left(write):
            await facts.issue_again(self._connection, head, left)
        position = await self._unit.advance(head, self._together)
        self._advanced = True
        if not write.added:  # a steward is answered by what can be read now
            await self.flush()
        return position

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
        if self._advanced:
            self._unit.written()
        self._together, self._events, self._advanced = Together(), [], False

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

    async def _write_constraints(self, head: Head, write: Write) -> None:
        if write.constraint is not None:
            await constraints.add(self._connection, head, write.constraint)
        if write.withdrawn is not None:
            constraint_id, actor = write.withdrawn
            await constraints.withdraw(self._connection, head, constraint_id, actor=actor)


def _left(write: Write) -> dict[int, tuple[str, int]]:
    """Return the records that left a profile which fell apart, each with the profile it went to and its version."""
    split = {told.left_id for told in write.told if isinstance(told, ProfileSplit)}
    versions = {each.profile_id: each.version for each in (*write.created, *write.changed)}
    gone = {move.record_no for move in write.moves if move.record_no is not None and move.from_profile in split}
    return {number: (to := write.assigned[number], versions[to]) for number in sorted(gone)}
