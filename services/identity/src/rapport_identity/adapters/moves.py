"""The history of the partition: every move of a record and every redirect of an id, in order, never changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from rapport_chassis.database.pool import Connection

from rapport_identity.adapters.bulk import Rows, Target
from rapport_identity.adapters.head import Head
from rapport_identity.app.stored import Move, MoveKind, RecordedMove
from rapport_identity.domain.identities import Passage

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
# By a merge came who came from a profile whose own id was redirected there by the same write.
_BY_MERGE: Final = """
EXISTS (SELECT FROM moves AS turn WHERE turn.kind = 'redirect' AND turn.from_profile = came.came_from
    AND turn.to_profile = came.to_profile AND turn.position = came.position)
"""
_CAME: Final = f"""
SELECT record_no, to_profile, {_BY_MERGE} FROM (SELECT *, from_profile AS came_from FROM moves
    WHERE record_no = ANY (%s)) AS came ORDER BY position, ordinal
"""  # noqa: S608 - made of constants
_TURNED: Final = f"""
SELECT from_profile, to_profile, {_BY_MERGE} FROM (
    SELECT *, lag(to_profile) OVER (PARTITION BY from_profile ORDER BY position, ordinal) AS came_from FROM moves
    WHERE kind = 'redirect' AND from_profile = ANY (%s)) AS came ORDER BY position, ordinal
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
SELECT last.to_profile, last.record_no
FROM (SELECT DISTINCT record_no FROM moves
    WHERE kind = 'record' AND to_profile = ANY (%(ids)s) AND recorded_at <= %(at)s) AS entered
CROSS JOIN LATERAL (SELECT record_no, to_profile FROM moves
    WHERE record_no = entered.record_no AND recorded_at <= %(at)s ORDER BY position DESC, ordinal DESC LIMIT 1) AS last
WHERE last.to_profile = ANY (%(ids)s) ORDER BY last.record_no
"""
_REDIRECTED: Final = """
SELECT last.to_profile, turned.from_profile
FROM (SELECT DISTINCT from_profile FROM moves
    WHERE kind = 'redirect' AND from_profile <> to_profile AND to_profile = ANY (%(ids)s) AND recorded_at <= %(at)s)
    AS turned
CROSS JOIN LATERAL (SELECT to_profile FROM moves
    WHERE kind = 'redirect' AND from_profile = turned.from_profile AND recorded_at <= %(at)s
    ORDER BY position DESC, ordinal DESC LIMIT 1) AS last
WHERE last.to_profile = ANY (%(ids)s) AND last.to_profile <> turned.from_profile ORDER BY turned.from_profile
"""


async def add(connection: Target, head: Head, moves: Sequence[Move]) -> None:
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


async def histories(
    connection: Connection, record_nos: Collection[int], issued_ids: Collection[str]
) -> tuple[dict[int, list[Passage]], dict[str, list[Passage]]]:
    """Return how records, and ids, came to where they are: each the profiles it passed, in order."""
    return await _passages(connection, _CAME, record_nos), await _passages(connection, _TURNED, issued_ids)


async def stood_for(connection: Connection, issued_ids: Collection[str], at: datetime) -> dict[str, str]:
    """Return what each of these ids stood for at a time; one not issued by then is left out."""
    return dict(await (await connection.execute(_STOOD_FOR, {"ids": list(issued_ids), "at": at})).fetchall())


async def members(connection: Connection, profile_ids: Collection[str], at: datetime) -> dict[str, list[int]]:
    """Return the numbers of the records that each of these profiles held at a time, in order."""
    return await _grouped(connection, _MEMBERS, profile_ids, at)


async def redirected(connection: Connection, profile_ids: Collection[str], at: datetime) -> dict[str, list[str]]:
    """Return for each of these profiles every other id that redirected to it at a time, in order."""
    return await _grouped(connection, _REDIRECTED, profile_ids, at)


async def _grouped(
    connection: Connection, statement: str, profile_ids: Collection[str], at: datetime
) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {profile_id: [] for profile_id in profile_ids}
    rows = await connection.execute(statement.encode(), {"ids": list(profile_ids), "at": at})
    for profile_id, member in await rows.fetchall():
        found[profile_id].append(member)
    return found


async def _passages(connection: Connection, statement: str, names: Collection[Any]) -> dict[Any, list[Passage]]:
    found: dict[Any, list[Passage]] = {}
    rows = await connection.execute(statement.encode(), (list(names),))
    for name, profile_id, by_merge in await rows.fetchall():
        found.setdefault(name, []).append(Passage(profile_id, by_merge))
    return found


async def _read(connection: Connection, statement: str, values: Sequence[object]) -> list[RecordedMove]:
    rows = await (await connection.execute(statement.encode(), values)).fetchall()
    return [
        RecordedMove(position, recorded_at, Move(MoveKind(kind), *columns))
        for position, recorded_at, kind, *columns in rows
    ]
