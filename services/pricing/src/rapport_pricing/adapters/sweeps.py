"""Removes what is old, and gives back what ran out, a bounded number of rows at a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_pricing.adapters.reservations import lapse_uses
from rapport_pricing.app.times import micros_of

_ROWS: Final = 1000
_PROMOTIONS: Final = 20
_RELEASED_FOR: Final = timedelta(days=1)
_LAPSED: Final = """
SELECT DISTINCT promotion_id FROM (
    SELECT promotion_id FROM reservations WHERE state = 'held' AND until_us <= %s ORDER BY until_us LIMIT %s
) AS lapsed LIMIT %s
"""
_RELEASED: Final = """
DELETE FROM reservations WHERE (promotion_id, quote_id) IN (
    SELECT promotion_id, quote_id FROM reservations WHERE state = 'released' AND until_us < %s LIMIT %s
)
"""
_OUTCOMES: Final = """
DELETE FROM outcomes WHERE outcome_id IN (
    SELECT outcome_id FROM outcomes WHERE recorded_at < %s
        AND NOT EXISTS (SELECT FROM waiting_outcomes AS waiting WHERE waiting.outcome_id = outcomes.outcome_id)
    ORDER BY recorded_at LIMIT %s
)
"""
_EXPOSURES: Final = """
DELETE FROM exposures WHERE ctid IN (
    SELECT ctid FROM exposures WHERE heard_us < %s AND news <> 1 ORDER BY heard_us LIMIT %s
)
"""


async def lapse_reservations(connection: Connection, now: datetime) -> int:
    """Give back uses that quotes held until now, and return of how many promotions."""
    now_us = micros_of(now)
    rows = await (await connection.execute(_LAPSED, (now_us, _ROWS, _PROMOTIONS))).fetchall()
    for promotion_id in sorted(row[0] for row in rows):
        await lapse_uses(connection, promotion_id, now_us)
    return len(rows)


async def forget_released(connection: Connection, now: datetime) -> int:
    """Forget uses that were given back a day ago, and return how many."""
    return (await connection.execute(_RELEASED, (micros_of(now - _RELEASED_FOR), _ROWS))).rowcount


class SweepOutcomes:
    """Forgets outcomes, and what was heard of exposures; the counts that they led to stay.

    Args:
        kept_for: How long they are kept: news that comes later counts as news of another exposure.
    """

    def __init__(self, kept_for: timedelta) -> None:
        self._kept_for = kept_for

    async def __call__(self, connection: Connection, now: datetime) -> int:
        """Forget some, and return how many."""
        before = now - self._kept_for
        outcomes = (await connection.execute(_OUTCOMES, (before, _ROWS))).rowcount
        return outcomes + (await connection.execute(_EXPOSURES, (micros_of(before), _ROWS))).rowcount
