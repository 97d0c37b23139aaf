"""Forgets what came back and what was done with messages once it serves nothing any more.

The rest is kept as long as its store declares (`privacy_holding`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_notification.app.times import micros_of
from rapport_notification.domain.vocabulary import DAY_US

_ROWS: Final = 500
_KEPT_DAYS: Final = (
    ("feedback", "at_us", "true", 400),
    ("engagements", "at_us", "told > 0", 400),
)
"""Table, time, which of its rows, and for how many days: addresses are judged by a year of feedback, channels by a year
of responses."""


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
