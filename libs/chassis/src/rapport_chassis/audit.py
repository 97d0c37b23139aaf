"""Who did what and why, in a chain of hashes: nothing can be changed, removed or reordered unseen.

An entry's hash is SHA-256 over the hash of the entry before it (32 zero bytes before the first), its position as eight
bytes, and its content. The content is the concatenation of these fields, each as four bytes of length and then UTF-8:
`recorded_at` in microseconds since 1970 as a decimal number, actor, caller, action, target, reason, outcome, trace id.
Numbers are big-endian. Whoever keeps a head (position and hash) elsewhere can later see that all up to it is unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Literal

from opentelemetry.trace import get_current_span

from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.database.pool import Connection

Outcome = Literal["allowed", "refused", "failed"]

GENESIS: Final = bytes(32)
"""The hash before the first entry."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE: Final = 1000

# The row of the head is the lock: entries take their places one after another, each when its transaction gets there.
_APPEND: Final = """
WITH head AS (
    UPDATE audit_head SET position = position + 1, previous_hash = hash,
        hash = sha256(hash || int8send(position + 1) || %s::bytea)
    RETURNING position, previous_hash, hash
)
INSERT INTO audit (position, previous_hash, hash,
    recorded_at, actor, caller, action, target, reason, outcome, trace_id)
SELECT position, previous_hash, hash, %s, %s, %s, %s, %s, %s, %s, %s FROM head
RETURNING position, hash
"""
_COLUMNS: Final = "position, recorded_at, actor, caller, action, target, reason, outcome, trace_id, previous_hash, hash"
_FORWARD: Final = f"SELECT {_COLUMNS} FROM audit WHERE position > %s ORDER BY position LIMIT %s"  # noqa: S608
_BACKWARD: Final = f"SELECT {_COLUMNS} FROM audit WHERE position < %s ORDER BY position DESC LIMIT %s"  # noqa: S608
_HEAD: Final = "SELECT position, hash, coalesce((SELECT max(position) FROM audit), 0) FROM audit_head"


@dataclass(frozen=True, slots=True)
class AuditContent:
    """What an entry says, in the order in which it is hashed."""

    recorded_at: datetime
    actor: str
    caller: str
    action: str
    target: str
    reason: str
    outcome: Outcome
    trace_id: str

    def canonical(self) -> bytes:
        """Return the bytes that are hashed."""
        microseconds = (self.recorded_at - _EPOCH) // timedelta(microseconds=1)
        fields = (str(microseconds), *astuple(self)[1:])
        encoded = [field.encode() for field in fields]
        return b"".join(len(field).to_bytes(4, "big") + field for field in encoded)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of the chain."""

    position: int
    content: AuditContent
    previous_hash: bytes
    hash: bytes

    @classmethod
    def of(cls, row: Sequence[Any]) -> AuditEntry:
        """Return the entry in a row of the table, columns in their order."""
        position, recorded_at, *said, previous_hash, own_hash = row
        content = AuditContent(recorded_at.astimezone(UTC), *said)
        return cls(position, content, bytes(previous_hash), bytes(own_hash))


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The end of the chain at some time."""

    position: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class AuditFault:
    """Where the chain is broken, and how."""

    position: int
    what: str


def chained(previous: bytes, position: int, content: AuditContent) -> bytes:
    """Return the hash of an entry."""
    return sha256(previous + position.to_bytes(8, "big") + content.canonical()).digest()


class AuditTrail:
    """The audit trail of a service, in the tables `audit` and `audit_head`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()

    async def append(
        self,
        connection: Connection,
        *,
        actor: str,
        caller: str,
        action: str,
        target: str,
        reason: str,
        outcome: Outcome,
    ) -> AuditHead:
        """Add an entry in the caller's transaction and return the new head: one round trip.

        From here to its end the transaction holds the one lock of the trail; what takes long belongs before.

        Args:
            connection: In a READ COMMITTED transaction.
            actor: Subject of the human operator; empty if none stood behind the call.
            caller: URI of the caller's certificate.
            action: Full name of the method, or what was done outside of one.
            target: Id of what it was done to; names no person.
            reason: Why, in the actor's words.
            outcome: How it ended.
        """
        context = get_current_span().get_span_context()
        content = AuditContent(
            recorded_at=self._clock.now(),
            actor=actor,
            caller=caller,
            action=action,
            target=target,
            reason=reason,
            outcome=outcome,
            trace_id=f"{context.trace_id:032x}" if context.is_valid else "",
        )
        cursor = await connection.execute(_APPEND, (content.canonical(), *astuple(content)))
        row = await cursor.fetchone()
        assert row is not None
        return AuditHead(row[0], bytes(row[1]))

    async def read(self, connection: Connection, *, before: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Return up to `limit` entries, the newest first, of those before a position if one is given."""
        cursor = await connection.execute(_BACKWARD, (before if before is not None else 2**63 - 1, limit))
        return [AuditEntry.of(row) for row in await cursor.fetchall()]

    async def verify(self, connection: Connection, expected: AuditHead | None = None) -> list[AuditFault]:
        """Return where the chain is broken; empty if it is whole. Reads the whole trail, page by page.

        Args:
            connection: Any; entries added meanwhile are left for the next time.
            expected: A head kept elsewhere. Without one, a trail that was cut off or written anew together with its
                head looks whole.
        """
        row = await (await connection.execute(_HEAD)).fetchone()
        if row is None:
            return [AuditFault(0, "the head is missing")]
        head, last = AuditHead(row[0], bytes(row[1])), row[2]
        faults: list[AuditFault] = []
        position, previous = 0, GENESIS
        while position < head.position:
            page = await (await connection.execute(_FORWARD, (position, _PAGE))).fetchall()
            for entry in map(AuditEntry.of, page):
                faults += link_faults(entry, position, previous)
                if expected is not None and entry.position == expected.position and entry.hash != expected.hash:
                    faults.append(AuditFault(entry.position, "the entry is not the one that was expected"))
                position, previous = entry.position, entry.hash
                if position == head.position:
                    break
            if len(page) < _PAGE:
                break
        if (position, previous) != (head.position, head.hash) or last != head.position:
            faults.append(AuditFault(head.position, "the trail does not end at its head"))
        if expected is not None and expected.position > head.position:
            faults.append(AuditFault(expected.position, "the trail ends before the entry that was expected"))
        return faults


def link_faults(entry: AuditEntry, position: int, previous: bytes) -> list[AuditFault]:
    """Return what is wrong with an entry that should follow the one at `position` with the hash `previous`."""
    faults: list[AuditFault] = []
    if entry.position != position + 1:
        faults.append(AuditFault(position + 1, f"{entry.position - position - 1} entries are missing"))
    if entry.previous_hash != previous:
        faults.append(AuditFault(entry.position, "the entry does not follow the one before it"))
    if entry.hash != chained(entry.previous_hash, entry.position, entry.content):
        faults.append(AuditFault(entry.position, "the entry was changed"))
    return faults
