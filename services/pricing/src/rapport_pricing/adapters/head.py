"""The head of the catalogue: epoch, position, and the server's timeline.

A promoted standby that lagged gives positions out again, on another timeline. So every look at the head compares
timelines, and another one begins a new epoch before anything is answered. Fails on a standby, as wanted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NamedTuple

from rapport_chassis.database.pool import Connection

_TIMELINE: Final = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
_COLUMNS: Final = "epoch, position, greatest(recorded_at, clock_timestamp()), holdout_salt"
_READ: Final = f"SELECT {_COLUMNS}, timeline = {_TIMELINE} FROM catalogue_head"  # noqa: S608 - made of constants
_LOCK: Final = f"{_READ} FOR UPDATE"
_RENEW: Final = f"""
UPDATE catalogue_head SET epoch = gen_random_uuid()::text, timeline = {_TIMELINE} WHERE timeline <> {_TIMELINE}
"""  # noqa: S608 - made of constants
_ADVANCE: Final = "UPDATE catalogue_head SET position = position + 1, recorded_at = %s RETURNING position"


class Head(NamedTuple):
    """The head at one time.

    Attributes:
        epoch: The catalogue's present life.
        position: The last position taken.
        recorded_at: The time of a write to come, never before that of an earlier one.
        holdout_salt: With it, chance says who is held out.
    """

    epoch: str
    position: int
    recorded_at: datetime
    holdout_salt: bytes


async def read(connection: Connection) -> Head:
    """Return the committed head."""
    return await _head(connection, _READ)


async def lock(connection: Connection) -> Head:
    """Return the head and hold it: every other writer waits until this transaction ends."""
    return await _head(connection, _LOCK)


async def advance(connection: Connection, recorded_at: datetime) -> int:
    """Take the next position and return it. This transaction holds the head."""
    row = await (await connection.execute(_ADVANCE, [recorded_at])).fetchone()
    assert row is not None
    position: int = row[0]
    return position


async def _head(connection: Connection, statement: str) -> Head:
    row = await (await connection.execute(statement.encode())).fetchone()
    if row is None:
        raise RuntimeError("the catalogue has no head: it was not migrated")
    epoch, position, recorded_at, salt, same_timeline = row
    if not same_timeline:
        await connection.execute(_RENEW)
        return await _head(connection, statement)
    return Head(epoch, position, recorded_at.astimezone(UTC), bytes(salt))
