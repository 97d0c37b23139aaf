"""What is handed in lies sealed, is never held as a whole, and is handed out whole or not at all."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.settings import DatabaseSettings
from rapport_consent.adapters.handed_records import HandedRecords, HandedRows
from rapport_consent.adapters.sealing import Sealer
from rapport_consent.domain.handed_records import Handed
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.tasks import AskedTask, StoreCount, TaskAnswer, TaskKind, TaskOutcome
from rapport_testing.clock import TestClock

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SEALER = Sealer.fresh()[0]
MIB = 1 << 20


@pytest.fixture
async def opened(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The database, as the service sees it."""
    database = Database(settings, service="consent")
    await database.open()
    yield database
    await database.close()


def store_of(database: Database, sealer: Sealer = SEALER) -> HandedRecords:
    """Where records are handed in."""
    return HandedRecords(database, sealer, 64 * MIB, TestClock(NOW))


async def handed_in(database: Database, count: int) -> Handed:
    """Hand in this many records of a thousand bytes."""
    async with store_of(database).intake("archive") as intake:
        for number in range(count):
            record = {"store": "boxes", "record_id": str(number), "data": {"canary": "y" * 950}}
            await intake.write(json.dumps(record).encode() + b"\n")
        return await intake.end()


async def answered(database: Database, handed: Handed, found: int) -> AskedTask:
    """The task whose answer brought them, which says how many it found."""
    stores = (StoreCount("boxes", found, 0),)
    answer = TaskAnswer("tsk_1", "archive", TaskOutcome.DONE, NOW, stores, (), (), b"", "", handed)
    async with database.transaction() as connection:
        await HandedRows(connection, SEALER).keep("req_1", "tsk_1", handed, NOW)
    return AskedTask("tsk_1", "req_1", "archive", ParticipantKind.MANUAL, TaskKind.ACCESS, 0, NOW, None, answer=answer)


async def test_memory_does_not_grow_with_what_is_handed_in_and_out(opened: Database) -> None:
    await handed_in(opened, 10)
    tracemalloc.start()
    try:
        task = await answered(opened, await handed_in(opened, 12_000), 12_000)
        count = 0
        async for record in store_of(opened).records(task):
            count += 1
            assert record.participant == "archive"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 12_000
    assert peak < 6 * MIB


async def test_what_is_handed_in_opens_by_the_key_alone_that_its_answer_kept(opened: Database) -> None:
    task = await answered(opened, await handed_in(opened, 3), 3)
    async with opened.transaction() as connection:
        cursor = await connection.execute("SELECT sealed FROM privacy_handed_pieces")
        ((sealed,),) = await cursor.fetchall()
    assert b"canary" not in bytes(sealed)
    with pytest.raises(ValueError, match="gone"):
        [each async for each in store_of(opened, Sealer.fresh()[0]).records(task)]


@pytest.mark.parametrize("found", [1_200, 1_201])
async def test_what_is_not_all_there_is_no_export(opened: Database, found: int) -> None:
    task = await answered(opened, await handed_in(opened, 1_200), found)
    if found == 1_200:
        assert len([each async for each in store_of(opened).records(task)]) == found
        async with opened.transaction() as connection:
            await connection.execute("DELETE FROM privacy_handed_pieces WHERE number = 2")
    with pytest.raises(RapportError, match="EXPORT_INCOMPLETE"):
        [each async for each in store_of(opened).records(task)]
