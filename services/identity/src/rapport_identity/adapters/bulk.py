"""Writes rows in one statement: INSERT where they are few, COPY where they are many."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rapport_chassis.database.pool import Connection

COPY_FROM: Final = 8
"""Rows from which a COPY beats an INSERT."""


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

    async def write(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Insert the rows, all or none."""
        if not rows:
            return
        if len(rows) < COPY_FROM:
            await connection.execute(_insert(self, len(rows)).encode(), [value for row in rows for value in row])
            return
        statement = f"COPY {self.table} ({self.names}) FROM STDIN (FORMAT BINARY)"
        async with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.set_types([kind for _, kind in self.columns])
            for row in rows:
                await copy.write_row(row)


@functools.cache
def _insert(target: Rows, count: int) -> str:
    row = "(" + ", ".join(f"%s::{kind}" for _, kind in target.columns) + ")"
    return f"INSERT INTO {target.table} ({target.names}) VALUES {', '.join([row] * count)}"  # noqa: S608
