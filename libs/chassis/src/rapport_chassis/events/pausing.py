"""Pausing a consumer after too many failures in a row, and letting it go on: a row of the service's database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rapport_chassis.database.pool import Connection


@dataclass(frozen=True, slots=True)
class Pause:
    """Why and since when a consumer is paused."""

    consumer: str
    reason: str
    since: datetime
    failures: int


async def pause(connection: Connection, consumer: str, *, reason: str, failures: int = 0) -> None:
    """Let every process stop this consumer until `resume`.

    Args:
        connection: A transaction of the service's database.
        consumer: Name of the consumer.
        reason: A code, for people to see.
        failures: How many failures in a row led to it; 0 if a person did.
    """
    await connection.execute(
        """
        INSERT INTO consumer_state (consumer, paused, reason, since, failures) VALUES (%s, true, %s, now(), %s)
        ON CONFLICT (consumer) DO UPDATE SET
            paused = true, reason = excluded.reason, since = excluded.since, failures = excluded.failures
        WHERE NOT consumer_state.paused
        """,
        [consumer, reason, failures],
    )


async def resume(connection: Connection, consumer: str) -> bool:
    """Let a paused consumer go on, in every process, within about a second; False if it was not paused."""
    cursor = await connection.execute(
        "UPDATE consumer_state SET paused = false, failures = 0, since = now() WHERE consumer = %s AND paused",
        [consumer],
    )
    return cursor.rowcount == 1


async def paused(connection: Connection, consumer: str) -> Pause | None:
    """Return the pause of a consumer, or None if it may run."""
    cursor = await connection.execute(
        "SELECT consumer, reason, since, failures FROM consumer_state WHERE consumer = %s AND paused", [consumer]
    )
    row = await cursor.fetchone()
    return Pause(*row) if row is not None else None
