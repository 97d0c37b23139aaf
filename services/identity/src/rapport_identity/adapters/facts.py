"""Facts, and the events of sources they came from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from rapport_chassis.database.pool import Connection

from rapport_identity.adapters.bulk import Rows
from rapport_identity.adapters.crypto import Hasher
from rapport_identity.adapters.head import Head
from rapport_identity.app.stored import SourceKey, StoredFact

SWEEP_BATCH: Final = 5000

_FACTS: Final = Rows(
    "facts",
    (
        ("fact_id", "text"),
        ("record_no", "int8"),
        ("profile_id", "text"),
        ("owner_version", "int8"),
        ("type", "text"),
        ("payload", "bytea"),
        ("occurred_at", "timestamptz"),
        ("position", "int8"),
    ),
)
_EVENTS: Final = Rows(
    "source_events",
    (
        ("source", "text"),
        ("event_hash", "bytea"),
        ("hash_version", "int4"),
        ("fact_id", "text"),
        ("answer", "bytea"),
        ("recorded_at", "timestamptz"),
    ),
)
_OF_RECORDS: Final = """
SELECT fact_id, record_no, profile_id, owner_version, type, payload, occurred_at FROM facts
WHERE record_no = ANY (%s) ORDER BY fact_id
"""
_GIVE: Final = """
UPDATE facts SET profile_id = new.profile_id, owner_version = new.owner_version, position = %s
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS new (fact_id, profile_id, owner_version)
WHERE facts.fact_id = new.fact_id AND facts.owner_version < new.owner_version
"""
_ERASE_EVENTS: Final = """
DELETE FROM source_events USING facts WHERE source_events.fact_id = facts.fact_id AND record_no = ANY (%s)
"""
_ERASE: Final = "DELETE FROM facts WHERE record_no = ANY (%s)"
_ANSWERED: Final = """
SELECT source, event_hash, fact_id, answer
FROM source_events JOIN unnest(%s::text[], %b::bytea[]) AS wanted (source, event_hash) USING (source, event_hash)
"""
_SWEEP: Final = """
DELETE FROM source_events WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM source_events WHERE recorded_at < %s ORDER BY recorded_at LIMIT %s))
"""


class Answer(NamedTuple):
    """What an event of a source was answered: the fact it became, None if it was refused, and the answer serialised."""

    fact_id: str | None
    answer: bytes


async def add(connection: Connection, head: Head, facts: Sequence[StoredFact]) -> None:
    """Write facts at the next position."""
    rows = [
        (
            each.fact_id,
            each.record_no,
            each.profile_id,
            each.owner_version,
            each.type,
            each.payload,
            each.occurred_at,
            head.position + 1,
        )
        for each in facts
    ]
    await _FACTS.write(connection, rows)


async def of_records(connection: Connection, record_nos: Collection[int]) -> list[StoredFact]:
    """Return the facts that came under these records, by fact id."""
    rows = await (await connection.execute(_OF_RECORDS, (list(record_nos),))).fetchall()
    return [StoredFact(*row) for row in rows]


async def give(connection: Connection, head: Head, owners: Sequence[tuple[str, str, int]]) -> int:
    """Give facts to other profiles and return how many changed hands.

    Args:
        connection: In the transaction of the write.
        head: As this transaction holds it.
        owners: Fact, profile and owner version each. A fact whose owner version is as high already stays.
    """
    values = [list(column) for column in zip(*owners, strict=True)]
    return (await connection.execute(_GIVE, (head.position + 1, *values))).rowcount if owners else 0


async def erase(connection: Connection, record_nos: Collection[int]) -> int:
    """Delete the facts that came under these records, with what is known of the events they came from."""
    await connection.execute(_ERASE_EVENTS, (list(record_nos),))
    return (await connection.execute(_ERASE, (list(record_nos),))).rowcount


async def answered(connection: Connection, hasher: Hasher, events: Sequence[SourceKey]) -> dict[SourceKey, Answer]:
    """Return what those of the events that were taken in before were answered."""
    hashes = {(event.source, hash_): event for event in events for hash_ in hasher.events(*event)}
    wanted = [source for source, _ in hashes], [hash_ for _, hash_ in hashes]
    rows = await (await connection.execute(_ANSWERED, wanted)).fetchall()
    return {hashes[source, hash_]: Answer(fact_id, answer) for source, hash_, fact_id, answer in rows}


async def remember(
    connection: Connection, head: Head, hasher: Hasher, answers: Sequence[tuple[SourceKey, Answer]]
) -> None:
    """Remember what events were answered, each once.

    Raises:
        psycopg.errors.UniqueViolation: One was taken in before: it was not asked about under the lock.
    """
    rows = [
        (event.source, hasher.event(*event), hasher.active, fact_id, answer, head.recorded_at)
        for event, (fact_id, answer) in answers
    ]
    await _EVENTS.write(connection, rows)


async def sweep(connection: Connection, before: datetime) -> int:
    """Forget events taken in before a time, a bounded number of them, and return how many."""
    return (await connection.execute(_SWEEP, (before, SWEEP_BATCH))).rowcount
