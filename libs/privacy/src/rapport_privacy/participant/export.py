"""Hands out what is held about a person, in parts of bounded size, however much it is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from secrets import token_hex
from typing import Any, Final
from uuid import UUID

from psycopg.abc import Query
from psycopg.rows import dict_row
from rapport.common.v1 import participant_pb2, privacy_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.times import stamp

from rapport_privacy.participant.holding import Exported, Holding, StoreCount, Subject

_PART_BYTES: Final = 256 * 1024
_PART_RECORDS: Final = 1000
_FETCHED: Final = 500
_PATIENCE: Final = """
SELECT set_config('statement_timeout', '600000', true), set_config('idle_in_transaction_session_timeout', '60000', true)
"""
_STILL: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"


async def rows(
    connection: Connection, query: Query, values: Sequence[Any] | Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """Yield the rows of a query by column name, some hundred of them in memory at a time."""
    async with connection.cursor(name=f"rows_{token_hex(4)}", row_factory=dict_row) as cursor:
        cursor.itersize = _FETCHED
        await cursor.execute(query, values)
        async for row in cursor:
            yield row


def plain(value: Any) -> Any:
    """Return a value of the database as JSON can hold it: times, ids and decimals as text, bytes in hexadecimal."""
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
        case bytes() | memoryview():
            return bytes(value).hex()
        case Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(each) for each in value]
        case _:
            return value


@asynccontextmanager
async def patient(database: Database, *, still: bool = False) -> AsyncIterator[Connection]:
    """Give a transaction whose statements may take minutes; a `still` one sees everything as of its beginning."""
    async with database.transaction() as connection:
        if still:
            await connection.execute(_STILL)
        await connection.execute(_PATIENCE)
        yield connection


async def parts(
    database: Database, holding: Holding, subject: Subject
) -> AsyncGenerator[participant_pb2.ExportedRecords, None]:
    """Yield all that is held about a subject, as of one moment, and at the end how much it was.

    Raises:
        RapportError: NOT_READY.
    """
    totals: Counter[str] = Counter()
    part, size = participant_pb2.ExportedRecords(), 0
    async with (
        patient(database, still=True) as connection,
        aclosing(_each(holding, connection, subject)) as exported,
    ):
        async for each in exported:
            full = size > _PART_BYTES or len(part.records) >= _PART_RECORDS
            if part.records and (full or part.store != each.store):
                yield part
                part, size = participant_pb2.ExportedRecords(), 0
            part.store = each.store
            record = part.records.add(
                record_id=each.record_id,
                json=json.dumps(plain(each.content), ensure_ascii=False, separators=(",", ":"), allow_nan=False),
                redacted=each.redacted,
            )
            if each.recorded_at is not None:
                record.recorded_at.CopyFrom(stamp(each.recorded_at))
            size += record.ByteSize()
            totals[each.store] += 1
    if part.records:
        yield part
    yield participant_pb2.ExportedRecords(
        totals=[
            privacy_pb2.StoreResult(store=store, found=found, acted=found) for store, found in sorted(totals.items())
        ]
    )


async def exported_counts(holding: Holding, connection: Connection, subject: Subject) -> tuple[StoreCount, ...]:
    """Return how many records of each store an export hands out."""
    totals: Counter[str] = Counter()
    async with aclosing(_each(holding, connection, subject)) as exported:
        async for each in exported:
            totals[each.store] += 1
    return tuple(StoreCount(store, found, found) for store, found in sorted(totals.items()))


async def _each(holding: Holding, connection: Connection, subject: Subject) -> AsyncGenerator[Exported, None]:
    known = {store.name for store in holding.stores}
    async for each in holding.export(connection, subject):
        if each.store not in known:
            raise ValueError(f"{each.store} is not declared among the stores")
        yield each
