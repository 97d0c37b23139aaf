"""The head of the event log: epoch, position, and the server's timeline.

A promoted standby that lagged gives positions out again, on another timeline. So every look at the head compares
timelines, and another one begins a new epoch before anything is answered. Fails on a standby, as wanted.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rapport_chassis.database.pool import Connection

_TIMELINE: Final = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
_READ: Final = f"SELECT epoch, position, timeline = {_TIMELINE} FROM log_head"  # noqa: S608 - made of constants
_LOCK: Final = f"{_READ} FOR UPDATE"
_RENEW: Final = f"""
UPDATE log_head SET epoch = gen_random_uuid()::text, timeline = {_TIMELINE} WHERE timeline <> {_TIMELINE}
"""  # noqa: S608 - made of constants


class Head(NamedTuple):
    """The head at one time: the log's present life, and the last position taken."""

    epoch: str
    position: int


async def read(connection: Connection) -> Head:
    """Return the committed head."""
    return await _head(connection, _READ)


async def lock(connection: Connection) -> Head:
    """Return the head and hold it: every other writer waits until this transaction ends."""
    return await _head(connection, _LOCK)


async def _head(connection: Connection, statement: str) -> Head:
    row = await (await connection.execute(statement.encode())).fetchone()
    if row is None:
        raise RuntimeError("the log has no head: it was not migrated")
    epoch, position, same_timeline = row
    if not same_timeline:
        await connection.execute(_RENEW)
        return await _head(connection, statement)
    return Head(epoch, position)
