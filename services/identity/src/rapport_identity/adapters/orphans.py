"""Sweeps keys whose value never came: the process that had created them was killed, or its transaction failed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection

from rapport_identity.app.ports import KeyStore

OLD_AFTER: Final = timedelta(hours=1)
"""No write takes this long: a key older than this without a value will never have one."""

_BATCH: Final = 1000
_IN_USE: Final = """
SELECT key_id FROM records WHERE key_id = ANY (%(keys)b::bytea[])
UNION ALL SELECT key_id FROM matchers WHERE key_id = ANY (%(keys)b::bytea[])
"""


async def sweep_orphans(database: Database, keys: KeyStore, *, now: datetime, since: datetime) -> int:
    """Destroy orphans among the keys created from `since` on, and return how many there were.

    Repeating it does no harm; a sweep that was cut off is repeated from the same time on.

    Args:
        database: Where the records are.
        keys: The key store.
        now: The time; keys younger than an hour stay.
        since: What an earlier sweep has been through need not be looked at again.

    Raises:
        RapportError: NOT_READY.
    """
    destroyed, after = 0, b""
    while batch := await keys.created_between(since, now - OLD_AFTER, after, _BATCH):
        async with database.transaction() as connection:
            used = await _in_use(connection, batch)
        if orphans := [key_id for key_id in batch if key_id not in used]:
            destroyed += await keys.destroy(orphans)
        after = batch[-1]
    return destroyed


async def _in_use(connection: Connection, key_ids: Collection[bytes]) -> set[bytes]:
    """Return those of the keys that a record or a matcher needs."""
    rows = await (await connection.execute(_IN_USE, {"keys": list(key_ids)})).fetchall()
    return {key_id for (key_id,) in rows}
