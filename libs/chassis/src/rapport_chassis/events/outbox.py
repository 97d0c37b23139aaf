"""The outbox: events written in the same transaction as the state they tell of, and published from there.

A row leaves when the broker has confirmed it; `published` then remembers where it went. Its headers are those that do
not follow from its other columns.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

from rapport_chassis.database import bulk
from rapport_chassis.events.envelope import TRACEPARENT, Event
from rapport_chassis.telemetry import propagation

CHANNEL: Final = "rapport_outbox"
"""Where a transaction that wrote events gives a hint; the relay looks once a second without one."""

_COPY_FROM: Final = 8
_COLUMNS: Final = "event_id, subject, type, payload, headers, profile_ids, urgent"
_COPY: Final = f"COPY outbox ({_COLUMNS}) FROM STDIN"
HINT: Final = f"SELECT pg_notify('{CHANNEL}', '')"
"""The statement that wakes the relay once the transaction commits."""


async def append(connection: AsyncConnection[Any], events: Sequence[Event]) -> None:
    """Write events to be published once the transaction commits: one statement, or a COPY where they are many.

    The trace of the current span goes with them.

    Raises:
        RapportError: EVENT_TOO_LARGE; nothing was written.
    """
    if not events:
        return
    if len(events) < _COPY_FROM:
        statement, values = insertion(events)
        await connection.execute(f"WITH written AS ({statement}) {HINT}", values)
        return
    await bulk.copy(connection, _COPY, _rows(events))
    await connection.execute(HINT)


def insertion(events: Sequence[Event]) -> tuple[LiteralString, list[Any]]:
    """Return the statement that writes a few events and its values, for who makes it part of one with `HINT` in it.

    The trace of the current span goes with them.

    Raises:
        RapportError: EVENT_TOO_LARGE.
    """
    return _insert(len(events)), [value for row in _rows(events) for value in row]


def _rows(events: Sequence[Event]) -> Iterator[tuple[Any, ...]]:
    traceparent = propagation.inject().get(TRACEPARENT)
    for event in events:
        yield (
            event.id,
            event.subject,
            event.type,
            event.payload(),
            json.dumps(event.own_headers(traceparent)),
            bulk.array(event.profile_ids),
            event.urgent,
        )


@functools.cache
def _insert(rows: int) -> LiteralString:
    values = ", ".join(["(%s, %s, %s, %b, %s::jsonb, %s::text[], %s)"] * rows)
    return f"INSERT INTO outbox ({_COLUMNS}) VALUES {values}"  # noqa: S608 - no value in it


async def oldest_unpublished_s(connection: AsyncConnection[Any]) -> float:
    """Return for how many seconds the oldest event has waited to be published; 0 if none waits.

    Imports pause while this is above 0.5.
    """
    cursor = await connection.execute(
        "SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM outbox ORDER BY seq LIMIT 1"
    )
    row = await cursor.fetchone()
    return max(0.0, row[0]) if row is not None else 0.0
