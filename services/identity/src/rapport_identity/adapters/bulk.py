"""Writes rows: INSERT where they are few, COPY where they are many, and a few rows of many tables in one statement."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import NoneType
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb
from rapport_chassis.database.pool import Connection

COPY_FROM: Final = 8
"""Rows from which a COPY beats an INSERT."""

_QUOTED: Final = str.maketrans({"\\": r"\\", '"': r"\""})
_ELEMENTS: Final[dict[type, Callable[[Any], str]]] = {
    NoneType: lambda _: "NULL",
    int: str,
    str: lambda value: f'"{value.translate(_QUOTED)}"',
    bytes: lambda value: rf'"\\x{value.hex()}"',
    datetime: lambda value: f'"{value.isoformat()}"',
    UUID: lambda value: f'"{value}"',
    Jsonb: lambda value: f'"{json.dumps(value.obj).translate(_QUOTED)}"',
}


@dataclass(frozen=True)
class Rows:
    """Where rows are written.

    Attributes:
        table: The table.
        columns: Its columns, in the order in which rows give them, with their types.
    """

    table: str
    columns: tuple[tuple[str, str], ...]

    @functools.cached_property
    def names(self) -> str:
        """The columns as SQL."""
        return ", ".join(name for name, _ in self.columns)

    @functools.cached_property
    def insert(self) -> str:
        """The statement that writes rows given by column, as `columns_of` makes them: the same for any number."""
        return f"INSERT INTO {self.table} ({self.names}) SELECT * FROM {unnested(kind for _, kind in self.columns)}"  # noqa: S608

    def columns_of(self, rows: Sequence[Sequence[Any]]) -> list[str]:
        """Return rows column by column, each as the text of an array."""
        return [array(column) for column in zip(*rows, strict=True)] if rows else ["{}"] * len(self.columns)

    async def write(self, connection: Target, rows: Sequence[Sequence[Any]]) -> None:
        """Insert the rows, all or none."""
        if not rows:
            return
        if isinstance(connection, Together):
            connection.insertions.append((self, rows))
            return
        if len(rows) < COPY_FROM:
            await connection.execute(self.insert.encode(), self.columns_of(rows))
            return
        statement = f"COPY {self.table} ({self.names}) FROM STDIN (FORMAT BINARY)"
        async with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.set_types([kind for _, kind in self.columns])
            for row in rows:
                await copy.write_row(row)


class Change(NamedTuple):
    """Rows to be changed.

    Attributes:
        statement: The statement, which ends in `RETURNING 1`.
        values: Its parameters, arrays as texts.
        rows: How many it must change.
        fault: What is wrong where it changes fewer.
    """

    statement: str
    values: Sequence[Any]
    rows: int
    fault: str

    async def write(self, connection: Target) -> None:
        """Change them.

        Raises:
            RuntimeError: It changed fewer: a fault of the caller.
        """
        if isinstance(connection, Together):
            connection.changes.append(self)
            return
        done = await connection.execute(self.statement.encode(), self.values)
        self.check(len(await done.fetchall()))

    def check(self, count: int) -> None:
        """Return if so many changed rows are all.

        Raises:
            RuntimeError: They are not.
        """
        if count != self.rows:
            raise RuntimeError(self.fault)


@dataclass(slots=True)
class Together:
    """Stands in for a connection, and makes one statement of what is written: none of it sees what the rest writes.

    Whatever is in it, a statement costs the driver a tenth of a millisecond.
    """

    insertions: list[tuple[Rows, Sequence[Sequence[Any]]]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.insertions or self.changes)

    async def write(self, connection: Connection) -> None:
        """Write all of it.

        Raises:
            RuntimeError: A change found fewer rows than it must: a fault of the caller.
        """
        statement = _together(
            tuple(target for target, _ in self.insertions), tuple(each.statement for each in self.changes)
        )
        values = [value for target, rows in self.insertions for value in target.columns_of(rows)]
        values += [value for each in self.changes for value in each.values]
        counts = await (await connection.execute(statement, values)).fetchone()
        assert counts is not None
        for change, count in zip(self.changes, counts, strict=False):
            change.check(count)


Target = Connection | Together
"""Where something is written to."""


@functools.cache
def _together(insertions: tuple[Rows, ...], changes: tuple[str, ...]) -> bytes:
    inserted = [f"inserted_{at} AS ({target.insert})" for at, target in enumerate(insertions)]
    changed = [f"changed_{at} AS ({statement})" for at, statement in enumerate(changes)]
    counts = ", ".join(f"(SELECT count(*) FROM changed_{at})" for at in range(len(changes)))  # noqa: S608
    return f"WITH {', '.join(inserted + changed)} SELECT {counts or 'NULL'}".encode()


def unnested(kinds: Iterable[str]) -> str:
    """Return as SQL the rows that parameters make, each the text of an array of one kind."""
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in kinds)})"


def array(values: Iterable[Any]) -> str:
    """Return the text of an array, for a parameter that is cast: a driver that looks at each value takes longer."""
    return "{" + ",".join([_ELEMENTS[type(value)](value) for value in values]) + "}"
