"""The inbox: which events a consumer has handled, noted in the transaction of what it did about them."""

from __future__ import annotations

from rapport_chassis.database.pool import Connection

_CLAIM = "INSERT INTO inbox (consumer, event_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"


async def claim(connection: Connection, consumer: str, event_id: str) -> bool:
    """Note that `consumer` handles the event in this transaction; False if it has been handled before.

    A second handling at the same time waits here for the first one to commit or to roll back.
    """
    cursor = await connection.execute(_CLAIM, [consumer, event_id])
    return cursor.rowcount == 1
