"""The history of the partition: every move of a record and every redirect of an id, in order, never changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_identity.adapters.bulk import Rows
from rapport_identity.adapters.head import Head
from rapport_identity.app.stored import Move, MoveKind, RecordedMove

_MOVES: Final = Rows(
    "moves",
    (
        ("position", "int8"),
        ("ordinal", "int4"),
        ("recorded_at", "timestamptz"),
        ("kind", "text"),
        ("record_no", "int8"),
        ("from_profile", "text"),
        ("to_profile", "text"),
        ("matcher", "text"),
        ("cause", "text"),
    ),
)
_COLUMNS: Final = "position, recorded_at, kind, from_profile, to_profile, record_no, matcher, cause"
_SINCE: Final = f"""
SELECT {_COLUMNS} FROM moves WHERE position > %s AND position <= %s ORDER BY position, ordinal
"""  # noqa: S608 - made of constants
_OF_RECORDS: Final = f"""
SELECT {_COLUMNS} FROM moves WHERE record_no = ANY (%s) ORDER BY position, ordinal
"""  # noqa: S608 - made of constants
# An id stands for itself from its issue on, until it is redirected: no row says so for each of them.
_STOOD_FOR: Final = """
SELECT profile_id, coalesce(last.to_profile, profile_id)
FROM profiles LEFT JOIN LATERAL (SELECT to_profile FROM moves
    WHERE kind = 'redirect' AND from_profile = profile_id AND recorded_at <= %(at)s
    ORDER BY position DESC, ordinal DESC LIMIT 1) AS last ON true
WHERE profile_id = ANY (%(ids)s) AND created_at <= %(at)s
"""
# Who ever entered, unless the last move up to then led elsewhere.
_MEMBERS: Final = """
SELECT last.record_no
FROM (SELECT DISTINCT record_no FROM moves
    WHERE kind = 'record' AND to_profile = %(profile)s AND recorded_at <= %(at)s) AS entered
CROSS JOIN LATERAL (SELECT record_no, to_profile FROM moves
    WHERE record_no = entered.record_no AND recorded_at <= %(at)s ORDER BY position DESC, ordinal DESC LIMIT 1) AS last
WHERE last.to_profile = %(profile)s ORDER BY last.record_no
"""


async def add(connection: Connection, head: Head, moves: Sequence[Move]) -> None:
    """Record moves at the next position, in this order: once for each position.

    Args:
        connection: In the transaction of the write.
        head: As this transaction holds it.
        moves: What moves.
    """
    rows = [
        (
            head.position + 1,
            ordinal,
            head.recorded_at,
            move.kind.value,
            move.record_no,
            move.from_profile,
            move.to_profile,
            move.matcher,
            move.cause,
        )
        for ordinal, move in enumerate(moves)
    ]
    await _MOVES.write(connection, rows)


async def since(connection: Connection, position: int, until: int) -> list[RecordedMove]:
    """Return the moves after one position and up to another, in order."""
    return await _read(connection, _SINCE, (position, until))


async def of_records(connection: Connection, record_nos: Collection[int]) -> list[RecordedMove]:
    """Return the whole history of these records, in order."""
    return await _read(connection, _OF_RECORDS, (list(record_nos),))


async def stood_for(connection: Connection, issued_ids: Collection[str], at: datetime) -> dict[str, str]:
    """Return what each of these ids stood for at a time; one not issued by then is left out."""
    return dict(await (await connection.execute(_STOOD_FOR, {"ids": list(issued_ids), "at": at})).fetchall())


async def members(connection: Connection, profile_id: str, at: datetime) -> list[int]:
    """Return the numbers of the records that a profile held at a time, in order."""
    rows = await (await connection.execute(_MEMBERS, {"profile": profile_id, "at": at})).fetchall()
    return [record_no for (record_no,) in rows]


async def _read(connection: Connection, statement: str, values: Sequence[object]) -> list[RecordedMove]:
    rows = await (await connection.execute(statement.encode(), values)).fetchall()
    return [
        RecordedMove(position, recorded_at, Move(MoveKind(kind), *columns))
        for position, recorded_at, kind, *columns in rows
    ]
