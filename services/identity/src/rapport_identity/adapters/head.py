"""The head of the partition: epoch, position, the server's timeline, and the hash versions in use.

A promoted standby that lagged gives positions out again, on another timeline. So every look at the head compares
timelines, and another one begins a new epoch before anything is answered. Fails on a standby, as wanted.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from rapport_chassis.database.pool import Connection

from rapport_identity.adapters.bulk import Change, Target
from rapport_identity.domain.declarations import Kind

_TIMELINE: Final = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
_COLUMNS: Final = "epoch, position, greatest(recorded_at, clock_timestamp()), hash_versions, matcher_id"
# A version is drafted, then active, then retired, and goes no other way: so no change leaves both counts as they were.
_DECLARED: Final = f"""
SELECT ARRAY[count(*) FILTER (WHERE state <> 'draft'), count(*) FILTER (WHERE state = 'retired')]
FROM authored_versions WHERE kind IN ({", ".join(f"'{kind.value}'" for kind in Kind)})
"""  # noqa: S608 - made of constants
_READ: Final = f"SELECT {_COLUMNS}, NULL, timeline = {_TIMELINE} FROM partition_head"  # noqa: S608 - made of constants
_LOCK: Final = f"""
SELECT {_COLUMNS}, ({_DECLARED}), timeline = {_TIMELINE} FROM partition_head FOR UPDATE
"""  # noqa: S608 - made of constants
_RENEW: Final = f"""
UPDATE partition_head SET epoch = gen_random_uuid()::text, timeline = {_TIMELINE} WHERE timeline <> {_TIMELINE}
"""  # noqa: S608 - made of constants
_ADVANCE: Final = "UPDATE partition_head SET position = %s, recorded_at = %s RETURNING 1"
_MATCHER: Final = "UPDATE partition_head SET matcher_id = %s"
_HASH_VERSIONS: Final = "UPDATE partition_head SET hash_versions = %s, hashed_since = %s"
_HASHED_SINCE: Final = "SELECT hashed_since FROM partition_head"


class Head(NamedTuple):
    """The head at one time.

    Attributes:
        epoch: The partition's present life.
        position: The last position taken.
        recorded_at: The time of a write to come, never before that of an earlier one.
        hash_versions: Versions of the hash keys in use; new rows are hashed under the first.
        matcher_id: The matcher that decides; empty while none was ever stored.
        declared: What differs whenever a declaration was activated or retired; None where the head is not held.
    """

    epoch: str
    position: int
    recorded_at: datetime
    hash_versions: tuple[int, ...]
    matcher_id: str
    declared: tuple[int, ...] | None


async def read(connection: Connection) -> Head:
    """Return the committed head."""
    return await _head(connection, _READ)


async def lock(connection: Connection) -> Head:
    """Return the head and hold it: every other writer waits until this transaction ends."""
    return await _head(connection, _LOCK)


async def advance(connection: Target, position: int, recorded_at: datetime) -> None:
    """Move the head, which this transaction holds."""
    await Change(_ADVANCE, (position, recorded_at), 1, "the partition has no head").write(connection)


async def use_hash_versions(connection: Connection, held: Head, versions: tuple[int, ...]) -> None:
    """Change the hash versions in use. This transaction holds the head."""
    await connection.execute(_HASH_VERSIONS, (list(versions), held.recorded_at))


async def hashed_since(connection: Connection) -> datetime:
    """Return since when the present hash versions are in use."""
    row = await (await connection.execute(_HASHED_SINCE)).fetchone()
    if row is None:
        raise RuntimeError("the partition has no head: it was not migrated")
    found: datetime = row[0]
    return found


async def use_matcher(connection: Connection, matcher_id: str) -> None:
    """Change the matcher that decides. This transaction holds the head, and writes the next position."""
    await connection.execute(_MATCHER, (matcher_id,))


async def _head(connection: Connection, statement: str) -> Head:
    row = await (await connection.execute(statement.encode())).fetchone()
    if row is None:
        raise RuntimeError("the partition has no head: it was not migrated")
    epoch, position, recorded_at, hash_versions, matcher_id, declared, same_timeline = row
    if not same_timeline:
        await connection.execute(_RENEW)
        return await _head(connection, statement)
    declared = None if declared is None else tuple(declared)
    return Head(epoch, position, recorded_at, tuple(hash_versions), matcher_id, declared)
