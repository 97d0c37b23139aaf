"""Decisions: found at once, written in groups, blank once the person is erased."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.telemetry.setup import Telemetry
from rapport_churn.adapters.journal import Journal, SweepDecisions, blank, write
from rapport_churn.app.scores import Kept
from rapport_privacy.participant import living
from rapport_privacy.participant.holding import Subject
from rapport_privacy.participant.journal import HeldRecords, Hold
from rapport_testing.events import count, rows
from rapport_testing.waiting import eventually

AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
async def journal(opened: Database) -> AsyncIterator[Journal]:
    journal = Journal(opened, Telemetry.off().meter, SystemClock())
    await journal.start()
    yield journal
    await journal.stop()


def decision(number: int, who: str = "prf_a", at: datetime = AT) -> Kept:
    return Kept(f"dec_{number}", who, at, b"body\t\\\n\x00", b"\x00\xff")


async def test_a_decision_is_found_before_and_after_it_is_written(opened: Database, journal: Journal) -> None:
    journal.add(decision(1))
    assert await journal.find("dec_1") == decision(1)

    async def written() -> bool:
        return await count(opened, "decisions") == 1

    await eventually(written)
    assert await journal.find("dec_1") == decision(1)
    assert await journal.find("dec_2") is None


async def test_what_waits_is_written_when_the_process_stops(opened: Database) -> None:
    journal = Journal(opened, Telemetry.off().meter, SystemClock())
    await journal.start()
    for number in range(2500):
        journal.add(decision(number))
    await journal.stop()
    assert await count(opened, "decisions") == 2500


async def test_decisions_of_a_while_are_one_transaction(opened: Database, journal: Journal) -> None:
    for number in range(50):
        journal.add(decision(number))
        await asyncio.sleep(0)

    async def written() -> bool:
        return await count(opened, "decisions") == 50

    await eventually(written)
    assert await rows(opened, "SELECT count(DISTINCT xmin::text) FROM decisions") == [(1,)]


async def test_of_an_erased_person_the_ids_of_decisions_are_left_alone(opened: Database, journal: Journal) -> None:
    journal.add(decision(1))
    journal.add(decision(2, "prf_b"))
    await eventually(lambda: _count(opened, 2))
    journal.add(decision(3))
    journal.forget(["prf_a"])
    async with opened.transaction() as connection:
        await blank(connection, ["prf_a"])
    assert await journal.find("dec_1") == Kept("dec_1", "", AT, b"", b"")
    assert await journal.find("dec_2") == decision(2, "prf_b")
    assert await journal.find("dec_3") is None


async def test_decisions_are_forgotten_when_they_are_too_old_unless_a_hold_keeps_the_person(
    opened: Database, journal: Journal
) -> None:
    journal.add(decision(1))
    journal.add(decision(2, at=AT + timedelta(days=9)))
    journal.add(decision(3, "prf_held"))
    await eventually(lambda: _count(opened, 3))
    async with opened.transaction() as connection:
        held = Hold("hld_1", "LEGAL_CLAIM", None, (HeldRecords(""),))
        await living.hold(connection, Subject("req_1", ("prf_held",)), held)
        assert await SweepDecisions(timedelta(days=10))(connection, AT + timedelta(days=11)) == 1
    assert await journal.find("dec_1") is None
    assert await journal.find("dec_3") == decision(3, "prf_held")


async def _count(database: Database, expected: int) -> bool:
    return await count(database, "decisions") == expected


async def test_a_group_whose_commit_was_in_doubt_comes_again_and_changes_nothing(opened: Database) -> None:
    kept = [decision(number) for number in range(3)]
    for _ in range(2):
        async with opened.transaction() as connection:
            await write(connection, kept)
    assert await count(opened, "decisions") == 3


class Stumbling(Journal):
    """Fails once, in a way that nobody foresaw."""

    stumbled = False

    async def write(self, connection: Connection, kept: Sequence[Kept]) -> None:
        if not self.stumbled:
            self.stumbled = True
            raise RuntimeError("unforeseen")
        await super().write(connection, kept)


async def test_a_journal_goes_on_after_a_fault_that_nobody_foresaw(opened: Database) -> None:
    journal = Stumbling(opened, Telemetry.off().meter, SystemClock())
    await journal.start()
    journal.add(decision(1))

    async def written() -> bool:
        return await count(opened, "decisions") == 1

    await eventually(written, timeout_s=20)
    await journal.stop()
    assert journal.stumbled
