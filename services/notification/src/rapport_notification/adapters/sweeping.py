"""Forgets what came back, what was done with messages, and what lay in inboxes, once it serves nothing any more."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_notification.app.times import micros_of
from rapport_notification.domain.vocabulary import DAY_US

_ROWS: Final = 500
_KEPT_DAYS: Final = (
    ("inbox_messages", "sent_us", "true", 365),
    ("feedback", "at_us", "true", 400),
    ("engagements", "at_us", "told > 0", 400),
    ("unsubscribes", "occurred_us", "state <> 'open'", 1096),
)
"""Table, time, which of its rows, and for how many days: addresses are judged by a year of feedback, channels by a year
of responses, and that somebody unsubscribed stays in the consent ledger."""


async def sweep(connection: Connection, now: datetime) -> int:
    """Forget some rows, and return how many."""
    gone = 0
    for table, at, which, days in _KEPT_DAYS:
        statement = f"""
            DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} WHERE {at} < %s AND {which} LIMIT %s)
        """  # noqa: S608 - made of constants
        cursor = await connection.execute(statement.encode(), (micros_of(now) - days * DAY_US, _ROWS))
        gone += cursor.rowcount
    return gone
