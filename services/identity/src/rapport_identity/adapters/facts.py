"""Facts, and the events of sources they came from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from psycopg.types.json import Jsonb
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import Event, event_of

from rapport_identity.adapters.bulk import Rows, Target, array
from rapport_identity.adapters.crypto import Hasher
from rapport_identity.adapters.head import Head
from rapport_identity.app.stored import SourceKey, StoredFact
from rapport_identity.translate.events import SOURCE
from rapport_identity.translate.touchpoints import recorded_message

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
        ("recorded_at", "timestamptz"),
        ("permits", "jsonb"),
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
STORED: Final = """fact_id, record_no, profile_id, owner_version, type, payload, occurred_at, recorded_at,
    ARRAY(SELECT permit ->> 'purpose' FROM jsonb_array_elements(permits) AS permit)"""
"""Of `facts`, what a `StoredFact` is made of."""

_OF_RECORDS: Final = f"SELECT {STORED} FROM facts WHERE record_no = ANY (%s) ORDER BY fact_id"  # noqa: S608
_GIVE: Final = """
UPDATE facts SET profile_id = new.profile_id, owner_version = new.owner_version, position = %s
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS new (fact_id, profile_id, owner_version)
WHERE facts.fact_id = new.fact_id AND facts.owner_version < new.owner_version
"""
_ERASE_EVENTS: Final = """
DELETE FROM source_events USING facts
WHERE source_events.fact_id = facts.fact_id AND record_no = ANY (%s) AND facts.fact_id <> ALL (%s)
"""
_ERASE: Final = "DELETE FROM facts WHERE record_no = ANY (%s) AND fact_id <> ALL (%s)"
_ANSWERED: Final = """
SELECT source, event_hash, fact_id, answer, record_no
FROM source_events JOIN unnest(%s::text[], %s::bytea[]) AS wanted (source, event_hash) USING (source, event_hash)
LEFT JOIN facts USING (fact_id)
"""
_SWEEP: Final = """
DELETE FROM source_events WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM source_events WHERE recorded_at < %s ORDER BY recorded_at LIMIT %s))
"""


class Answer(NamedTuple):
    """What an event of a source was answered.

    Attributes:
        fact_id: The fact it became; None if it was refused.
        answer: The answer, serialised.
        record_no: The record that the fact came under; read only, and None if there is no fact.
    """

    fact_id: str | None
    answer: bytes
    record_no: int | None = None


async def add(connection: Target, position: int, facts: Sequence[StoredFact], permits: Sequence[Sequence[Any]]) -> None:
    """Write facts.

    Args:
        connection: In the transaction that decides whose they are.
        position: The partition as of which they are that.
        facts: The facts.
        permits: What each rests on, as JSON.
    """
    rows = [
        (
            each.fact_id,
            each.record_no,
            each.profile_id,
            each.owner_version,
            each.type,
            each.payload,
            each.occurred_at,
            position,
            each.recorded_at,
            Jsonb(grounds),
        )
        for each, grounds in zip(facts, permits, strict=True)
    ]
    await _FACTS.write(connection, rows)


async def issue_again(connection: Connection, head: Head, owners: Mapping[int, tuple[str, int]]) -> int:
    """Give the facts of records that left a profile to their new owners, tell of it, and return how many.

    Args:
        connection: In the transaction of the split.
        head: As this transaction holds it.
        owners: Profile and version by record number.
    """
    moved = []
    for each in await of_records(connection, owners):
        profile_id, version = owners[each.record_no]
        moved.append(replace(each, profile_id=profile_id, owner_version=version))
    await give(connection, head, [(each.fact_id, each.profile_id, each.owner_version) for each in moved])
    await outbox.append(connection, events_of(moved))
    return len(moved)


def events_of(facts: Sequence[StoredFact]) -> list[Event]:
    """Return what tells of facts, each in an event of its own."""
    return [event_of(recorded_message(each), source=SOURCE, occurred_at=each.occurred_at) for each in facts]


async def of_records(connection: Connection, record_nos: Collection[int]) -> list[StoredFact]:
    """Return the facts that came under these records, by fact id."""
    rows = await (await connection.execute(_OF_RECORDS, (list(record_nos),))).fetchall()
    return [stored(row) for row in rows]


def stored(row: Sequence[Any]) -> StoredFact:
    """Return a fact from a row of `STORED`."""
    return StoredFact(*(*row[:-1], tuple(row[-1])))


async def give(connection: Connection, head: Head, owners: Sequence[tuple[str, str, int]]) -> int:
    """Give facts to other profiles and return how many changed hands.

    Args:
        connection: In the transaction of the write.
        head: As this transaction holds it.
        owners: Fact, profile and owner version each. A fact whose owner version is as high already stays.
    """
    values = [list(column) for column in zip(*owners, strict=True)]
    return (await connection.execute(_GIVE, (head.position + 1, *values))).rowcount if owners else 0


async def erase(connection: Connection, record_nos: Collection[int], kept: Collection[str] = ()) -> int:
    """Delete the facts that came under these records, with what is known of the events they came from, but for some."""
    await connection.execute(_ERASE_EVENTS, (list(record_nos), list(kept)))
    return (await connection.execute(_ERASE, (list(record_nos), list(kept)))).rowcount


async def answered(connection: Connection, hasher: Hasher, events: Sequence[SourceKey]) -> dict[SourceKey, Answer]:
    """Return what those of the events that were taken in before were answered."""
    hashes = {(event.source, hash_): event for event in events for hash_ in hasher.events(*event)}
    wanted = array(source for source, _ in hashes), array(hash_ for _, hash_ in hashes)
    rows = await (await connection.execute(_ANSWERED, wanted)).fetchall()
    return {hashes[source, hash_]: Answer(*answer) for source, hash_, *answer in rows}


async def remember(
    connection: Target, at: datetime, hasher: Hasher, answers: Sequence[tuple[SourceKey, Answer]]
) -> None:
    """Remember what events were answered at a time, each once.

    Raises:
        psycopg.errors.UniqueViolation: One was taken in before: it was not asked about under the lock.
    """
    rows = [
        (event.source, hasher.event(*event), hasher.active, fact_id, answer, at)
        for event, (fact_id, answer, _) in answers
    ]
    await _EVENTS.write(connection, rows)


async def sweep(connection: Connection, before: datetime) -> int:
    """Forget events taken in before a time, a bounded number of them, and return how many."""
    return (await connection.execute(_SWEEP, (before, SWEEP_BATCH))).rowcount


def sweep_after(kept: timedelta) -> Callable[[Connection, datetime], Awaitable[int]]:
    """Return the sweep that forgets events this long after they were taken in."""

    async def forget(connection: Connection, now: datetime) -> int:
        return await sweep(connection, now - kept)

    return forget
