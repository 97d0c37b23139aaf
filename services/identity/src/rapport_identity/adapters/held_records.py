"""Records as they are held: read in the order of their numbers or of what changed, and opened with their keys."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from rapport_chassis.database.pool import Connection

from rapport_identity.adapters.crypto import unseal
from rapport_identity.app.ports import KeyStore
from rapport_identity.app.stored import HeldRecord

_COLUMNS: Final = "record_no, record_id, profile_id, recorded_under, version, position, recorded_at, key_id, value"
_AFTER: Final = f"""
SELECT {_COLUMNS} FROM records WHERE record_no > %s AND NOT erased ORDER BY record_no LIMIT %s
"""  # noqa: S608 - made of constants
_SINCE: Final = f"""
SELECT {_COLUMNS} FROM records WHERE position > %s AND position <= %s ORDER BY position, record_no
"""  # noqa: S608 - made of constants
_NAMED: Final = f"SELECT {_COLUMNS} FROM records WHERE record_no = ANY (%s) ORDER BY record_no"  # noqa: S608


class EncryptedRecord(NamedTuple):
    """A record as it is read, before its key is fetched."""

    record_no: int
    record_id: str
    profile_id: str
    recorded_under: str
    version: int
    position: int
    recorded_at: datetime
    key_id: bytes | None
    value: bytes | None


async def after(connection: Connection, record_no: int, limit: int) -> list[EncryptedRecord]:
    """Return records with higher numbers, in order; those that were erased are left out."""
    return await _read(connection, _AFTER, (record_no, limit))


async def since(connection: Connection, position: int, until: int) -> list[EncryptedRecord]:
    """Return records whose versions were written after one position and up to another, those erased too."""
    return await _read(connection, _SINCE, (position, until))


async def named(connection: Connection, record_nos: Collection[int]) -> list[EncryptedRecord]:
    """Return the records of these numbers, in order."""
    return await _read(connection, _NAMED, (list(record_nos),))


async def opened(records: Sequence[EncryptedRecord], keys: KeyStore) -> list[HeldRecord]:
    """Return the records in clear. One whose key was destroyed is erased, whatever its row still holds.

    Raises:
        RapportError: NOT_READY.
        UnreadableError: A value does not fit its key and place: somebody changed it.
    """
    secrets = await keys.get([each.key_id for each in records if each.key_id is not None])
    return [_held(each, secrets.get(each.key_id or b"")) for each in records]


def _held(record: EncryptedRecord, secret: bytes | None) -> HeldRecord:
    payload, reading = None, b""
    if record.value is not None and secret is not None:
        payload, reading = unseal(secret, record.record_id, record.version, record.value)
    return HeldRecord(
        record.record_no,
        record.profile_id,
        record.recorded_under,
        record.version,
        record.position,
        record.recorded_at,
        payload,
        reading,
    )


async def _read(connection: Connection, statement: Any, values: Sequence[Any]) -> list[EncryptedRecord]:
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(statement, values)
        return [EncryptedRecord._make(row) for row in await cursor.fetchall()]
