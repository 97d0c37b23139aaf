"""The relay's side of the database: what is to be published, what was, and where it went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from rapport_chassis.database.engine import Database
from rapport_chassis.events.envelope import MAX_PAYLOAD_BYTES, headers_of

SWEEP_ROWS: Final = 10_000
"""Most rows that one sweep removes."""

_BATCH_BYTES: Final = 4 * 1024 * 1024

# Half of a batch may be negatives that overtake, the rest is the oldest. Sizes are summed before payloads are read.
# What is held is left out by a subquery, which is hashed; an array would be gone through for every row. Limits out of
# a subquery are the same in the planner's eyes each time, so that it plans once and not for each execution.
_TAKE: Final = f"""
WITH urgent AS (
    SELECT seq, octet_length(payload) AS bytes FROM outbox
    WHERE urgent AND octet_length(payload) <= {MAX_PAYLOAD_BYTES} AND seq NOT IN (SELECT unnest(%(held)s::bigint[]))
    ORDER BY seq LIMIT (SELECT %(half)s::bigint)
), oldest AS (
    SELECT seq, octet_length(payload) AS bytes FROM outbox
    WHERE octet_length(payload) <= {MAX_PAYLOAD_BYTES} AND seq NOT IN (SELECT unnest(%(held)s::bigint[]))
    ORDER BY seq LIMIT (SELECT %(batch)s::bigint)
), queue AS (
    SELECT seq, bytes, 0 AS turn FROM urgent
    UNION ALL
    SELECT seq, bytes, 1 FROM oldest WHERE seq NOT IN (SELECT seq FROM urgent)
    ORDER BY turn, seq LIMIT (SELECT %(batch)s::bigint)
), fitting AS (
    SELECT seq, row_number() OVER whole AS place, sum(bytes) OVER whole - bytes AS before
    FROM queue WINDOW whole AS (ORDER BY turn, seq)
)
SELECT seq, event_id, subject, type, payload, headers::text
FROM fitting JOIN outbox USING (seq) WHERE before < {_BATCH_BYTES} ORDER BY place
"""  # noqa: S608 - made of constants
_MARK: Final = """
WITH confirmed AS (
    SELECT * FROM unnest(%(seqs)s::bigint[], %(sequences)s::bigint[]) AS pair (seq, sequence)
), gone AS (
    DELETE FROM outbox USING confirmed WHERE outbox.seq = confirmed.seq
    RETURNING outbox.event_id, outbox.profile_ids, confirmed.sequence
), progress AS (
    INSERT INTO relay_progress (stream, sequence) VALUES (%(stream)s, %(progress)s)
    ON CONFLICT (stream) DO UPDATE SET sequence = excluded.sequence
)
INSERT INTO published (event_id, stream, sequence, profile_ids)
SELECT event_id, %(stream)s, sequence, profile_ids FROM gone ON CONFLICT DO NOTHING
"""
_RECORD: Final = """
WITH found AS (
    SELECT event_id, sequence, string_to_array(profile_ids, ' ') AS profile_ids
    FROM unnest(%(ids)s::text[], %(sequences)s::bigint[], %(profiles)s::text[])
        AS message (event_id, sequence, profile_ids)
), gone AS (
    DELETE FROM outbox USING found WHERE outbox.event_id = found.event_id
    RETURNING outbox.event_id, outbox.profile_ids
), progress AS (
    INSERT INTO relay_progress (stream, sequence) VALUES (%(stream)s, %(progress)s)
    ON CONFLICT (stream) DO UPDATE SET sequence = excluded.sequence
)
INSERT INTO published (event_id, stream, sequence, profile_ids)
SELECT event_id, %(stream)s, sequence, coalesce(gone.profile_ids, found.profile_ids)
FROM found LEFT JOIN gone USING (event_id) ON CONFLICT DO NOTHING
"""
_SWEEP: Final = f"""
DELETE FROM published WHERE (event_id, stream, sequence) IN (
    SELECT event_id, stream, sequence FROM published WHERE published_at < now() - %s LIMIT {SWEEP_ROWS}
)
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of the outbox."""

    seq: int
    event_id: str
    subject: str
    payload: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """An event that was found in the stream."""

    event_id: str
    sequence: int
    profile_ids: tuple[str, ...]


class PublishedIndex:
    """Which events wait, and for the time the stream keeps them, where each went and whom it concerns."""

    def __init__(self, database: Database, stream: str) -> None:
        self._database = database
        self._stream = stream

    async def take(self, batch: int, held: Sequence[int] = ()) -> list[Waiting]:
        """Return the next events to publish: the oldest negatives for at most half of the batch, then the oldest.

        Nothing is claimed: there is one relay. Events above the size limit are passed over (`refused`).

        Args:
            batch: Most events to return; their payloads also stay within a few MB.
            held: Rows (`seq`) to leave out, because they are being marked at this moment.
        """
        async with self._database.looking() as connection, connection.cursor(binary=True) as cursor:
            await cursor.execute(_TAKE, {"batch": batch, "half": batch // 2, "held": list(held)})
            rows = await cursor.fetchall()
        return [
            Waiting(seq, event_id, subject, payload, headers_of(event_id, event_type, json.loads(own)))
            for seq, event_id, subject, event_type, payload, own in rows
        ]

    async def mark(self, confirmed: Sequence[tuple[Waiting, int]], *, progress: int) -> None:
        """Move confirmed events from the outbox to the index, in one statement.

        Args:
            confirmed: Each event with its sequence in the stream.
            progress: Everything in the stream up to this sequence is indexed by now.
        """
        async with self._database.looking() as connection:
            await connection.execute(
                _MARK,
                {
                    "seqs": [waiting.seq for waiting, _ in confirmed],
                    "sequences": [sequence for _, sequence in confirmed],
                    "stream": self._stream,
                    "progress": progress,
                },
            )

    async def progress(self) -> int:
        """Return the sequence up to which the stream is indexed."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute("SELECT sequence FROM relay_progress WHERE stream = %s", [self._stream])
            row = await cursor.fetchone()
        return row[0] if row is not None else 0

    async def record(self, found: Sequence[Found], *, progress: int) -> None:
        """Index events that were found in the stream, and drop them from the outbox where they still wait there."""
        async with self._database.transaction() as connection:
            await connection.execute(
                _RECORD,
                {
                    "ids": [each.event_id for each in found],
                    "sequences": [each.sequence for each in found],
                    "profiles": [" ".join(each.profile_ids) for each in found],
                    "stream": self._stream,
                    "progress": progress,
                },
            )

    async def refused(self) -> int:
        """Return how many events are too large to be published; they stay in the outbox for a person to look at."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM outbox WHERE octet_length(payload) > %s", [MAX_PAYLOAD_BYTES]
            )
            row = await cursor.fetchone()
        return row[0] if row is not None else 0

    async def sweep(self, max_age: timedelta) -> bool:
        """Forget some of what the stream no longer keeps.

        Returns:
            Whether there may be more: at most `SWEEP_ROWS` go at once.
        """
        async with self._database.transaction() as connection:
            swept = await connection.execute(_SWEEP, [max_age])
        return swept.rowcount == SWEEP_ROWS
