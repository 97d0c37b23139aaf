"""The inbox: which events a consumer has handled, noted in the transaction of what it did about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.database.pool import Connection

KEPT: Final = timedelta(days=120)
"""How long an entry is kept: longer than any stream keeps its events, so that none of them can come again unknown."""

_SWEEP_ROWS: Final = 1000

_CLAIM: Final = "INSERT INTO inbox (consumer, event_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_CLAIM_ALL: Final = """
INSERT INTO inbox (consumer, event_id) SELECT %s, event_id FROM unnest(%s::text[]) AS event_id ORDER BY event_id
ON CONFLICT DO NOTHING RETURNING event_id
"""
_SWEEP: Final = """
DELETE FROM inbox WHERE (consumer, event_id) IN (
    SELECT consumer, event_id FROM inbox WHERE received_at < %s ORDER BY received_at LIMIT %s
)
"""


async def claim(connection: Connection, consumer: str, event_id: str) -> bool:
    """Note that `consumer` handles the event in this transaction; False if it has been handled before.

    A second handling at the same time waits here for the first one to commit or to roll back.
    """
    cursor = await connection.execute(_CLAIM, [consumer, event_id])
    return cursor.rowcount == 1


async def claim_all(connection: Connection, consumer: str, event_ids: Sequence[str]) -> set[str]:
    """Do so of several events; return those that have not been handled before."""
    cursor = await connection.execute(_CLAIM_ALL, [consumer, list(event_ids)])
    return {row[0] for row in await cursor.fetchall()}


async def sweep(connection: Connection, now: datetime) -> int:
    """Forget some entries older than any stream keeps its events; return how many."""
    return (await connection.execute(_SWEEP, (now - KEPT, _SWEEP_ROWS))).rowcount
