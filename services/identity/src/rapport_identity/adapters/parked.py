"""Whom privacy requests hold still, and what their profiles kept out meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_identity.app.units import Apart

_FROZEN: Final = "SELECT profile_id FROM profiles WHERE status = 'frozen'"
_ERASED: Final = "SELECT EXISTS (SELECT FROM suppressions)"
_PARK: Final = """
INSERT INTO parked_records (record_no, profile_id) SELECT * FROM unnest(%s::bigint[], %s::text[])
ON CONFLICT (record_no) DO NOTHING
"""
# Its own records, too: they are linked anew with what was kept out.
_RELEASE: Final = """
INSERT INTO parked_records (record_no, profile_id)
SELECT record_no, profile_id FROM records WHERE profile_id = ANY (%s) AND NOT erased ON CONFLICT (record_no) DO NOTHING
"""
_DUE: Final = """
SELECT record_no FROM parked_records JOIN profiles USING (profile_id) WHERE status <> 'frozen'
ORDER BY record_no LIMIT %s
"""
_DONE: Final = "DELETE FROM parked_records WHERE record_no = ANY (%s)"
_KEPT_OUT: Final = "SELECT record_no FROM parked_records WHERE profile_id = ANY (%s)"


async def apart(connection: Connection) -> Apart:
    """Return whom privacy requests hold still, and whether anything must not come back."""
    frozen = await (await connection.execute(_FROZEN)).fetchall()
    erased = await (await connection.execute(_ERASED)).fetchone()
    assert erased is not None
    return Apart(frozenset(profile_id for (profile_id,) in frozen), erased[0])


async def park(connection: Connection, parked: Mapping[int, str]) -> None:
    """Remember which records frozen profiles kept out."""
    await connection.execute(_PARK, (list(parked), list(parked.values())))


async def kept_out(connection: Connection, profile_ids: Collection[str]) -> list[int]:
    """Return the records that these profiles kept out."""
    rows = await (await connection.execute(_KEPT_OUT, (list(profile_ids),))).fetchall()
    return [number for (number,) in rows]


async def release(connection: Connection, profile_ids: Collection[str]) -> None:
    """Have the records of these profiles linked again, as those that they kept out are."""
    await connection.execute(_RELEASE, (list(profile_ids),))


async def forget(connection: Connection, record_nos: Collection[int]) -> None:
    """Forget that records were parked."""
    await connection.execute(_DONE, (list(record_nos),))


async def due(connection: Connection, limit: int) -> list[int]:
    """Return some of the records that no frozen profile keeps out any more."""
    rows = await (await connection.execute(_DUE, (limit,))).fetchall()
    return [number for (number,) in rows]
