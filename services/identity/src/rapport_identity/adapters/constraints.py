"""What stewards decided about records, in force until it is withdrawn."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rapport_chassis.database.pool import Connection

from rapport_identity.adapters.bulk import Rows
from rapport_identity.adapters.head import Head
from rapport_identity.app.stored import ConstraintKind, StoredConstraint

_CONSTRAINTS: Final = Rows(
    "constraints",
    (
        ("constraint_id", "text"),
        ("kind", "text"),
        ("created_at", "timestamptz"),
        ("created_by", "text"),
        ("reason", "text"),
        ("review_id", "text"),
        ("position", "int8"),
    ),
)
_BOUND: Final = Rows("constrained_records", (("constraint_id", "text"), ("group_no", "int4"), ("record_no", "int8")))
_WITHDRAW: Final = """
UPDATE constraints SET withdrawn_at = %s, withdrawn_by = %s, position = %s
WHERE constraint_id = %s AND withdrawn_at IS NULL
"""
_COLUMNS: Final = """
constraint_id, kind, (SELECT coalesce(jsonb_agg(members ORDER BY group_no), '[]') FROM (
        SELECT group_no, jsonb_agg(record_no ORDER BY record_no) AS members FROM constrained_records AS bound
        WHERE bound.constraint_id = constraints.constraint_id GROUP BY group_no) AS groups),
    created_at, created_by, reason, review_id, withdrawn_at, withdrawn_by
"""
_SINCE: Final = f"""
SELECT {_COLUMNS} FROM constraints WHERE position > %s AND position <= %s ORDER BY position, constraint_id
"""  # noqa: S608 - made of constants
_IN_FORCE: Final = f"""
SELECT {_COLUMNS} FROM constraints WHERE withdrawn_at IS NULL ORDER BY constraint_id
"""  # noqa: S608 - made of constants
_GET: Final = f"SELECT {_COLUMNS} FROM constraints WHERE constraint_id = %s"  # noqa: S608 - made of constants
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM constraints
WHERE (%(withdrawn)s OR withdrawn_at IS NULL)
    AND (%(at)s::timestamptz IS NULL OR (created_at, constraint_id) < (%(at)s::timestamptz, %(id)s::text))
    AND (%(numbers)s::bigint[] IS NULL OR constraint_id IN (
        SELECT constraint_id FROM constrained_records WHERE record_no = ANY (%(numbers)s::bigint[])))
ORDER BY created_at DESC, constraint_id DESC LIMIT %(limit)s
"""  # noqa: S608 - made of constants
_RELEASE: Final = "DELETE FROM constrained_records WHERE record_no = ANY (%s)"


async def add(connection: Connection, head: Head, constraint: StoredConstraint) -> None:
    """Write a constraint at the next position."""
    row = (
        constraint.constraint_id,
        constraint.kind.value,
        constraint.created_at,
        constraint.created_by,
        constraint.reason,
        constraint.review_id,
        head.position + 1,
    )
    await _CONSTRAINTS.write(connection, [row])
    bound = [
        (constraint.constraint_id, group_no, record_no)
        for group_no, members in enumerate(constraint.groups)
        for record_no in members
    ]
    await _BOUND.write(connection, bound)


async def withdraw(connection: Connection, head: Head, constraint_id: str, *, actor: str) -> bool:
    """Take a constraint back at the next position; False if there is none in force."""
    values = (head.recorded_at, actor, head.position + 1, constraint_id)
    return (await connection.execute(_WITHDRAW, values)).rowcount == 1


async def get(connection: Connection, constraint_id: str) -> StoredConstraint | None:
    """Return a constraint."""
    found = await _read(connection, _GET, (constraint_id,))
    return found[0] if found else None


async def in_force(connection: Connection) -> list[StoredConstraint]:
    """Return all constraints in force, by id."""
    return await _read(connection, _IN_FORCE, ())


async def page(
    connection: Connection,
    record_nos: Collection[int] | None,
    after: tuple[datetime, str] | None,
    limit: int,
    *,
    withdrawn: bool,
) -> list[StoredConstraint]:
    """Return constraints, the newest first: after the given one, on any of these records, also those withdrawn."""
    at, constraint_id = after or (None, None)
    numbers = None if record_nos is None else list(record_nos)
    values = {"withdrawn": withdrawn, "at": at, "id": constraint_id, "numbers": numbers, "limit": limit}
    return await _read(connection, _PAGE, values)


async def since(connection: Connection, position: int, until: int) -> list[StoredConstraint]:
    """Return the constraints made or withdrawn after one position and up to another, in order."""
    return await _read(connection, _SINCE, (position, until))


async def release(connection: Connection, record_nos: Collection[int]) -> int:
    """Release records from every constraint, as when they are erased, and return from how many."""
    return (await connection.execute(_RELEASE, (list(record_nos),))).rowcount


async def _read(
    connection: Connection, statement: str, values: Sequence[Any] | Mapping[str, Any]
) -> list[StoredConstraint]:
    rows = await (await connection.execute(statement.encode(), values)).fetchall()
    return [
        StoredConstraint(constraint_id, ConstraintKind(kind), tuple(tuple(group) for group in groups), *columns)
        for constraint_id, kind, groups, *columns in rows
    ]
