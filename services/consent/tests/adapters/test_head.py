"""The head of the ledger: read after it was asked for, and never trusted on another timeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import LiteralString

import pytest
from rapport_chassis.database.engine import Database
from rapport_chassis.settings import DatabaseSettings
from rapport_consent.adapters.head import SharedHeads
from rapport_consent.adapters.ledger import ROWS, STATES, LedgerStore
from rapport_consent.app.ledger import Token, write
from rapport_consent.domain.negatives import draft_restriction
from rapport_testing.clock import TestClock
from rapport_testing.databases import Database as MadeDatabase


@pytest.fixture
async def opened(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The database, as the service sees it."""
    database = Database(settings, service="consent")
    await database.open()
    yield database
    await database.close()


async def restrict(store: LedgerStore, person: str) -> Token:
    async with store.unit() as unit:
        drafts = [draft_restriction("CLAIMS", now=TestClock().now())]
        return (await write(unit, await unit.lock([person]), person, drafts)).token


@pytest.mark.parametrize("statement", [ROWS, STATES])
async def test_people_are_looked_up_and_never_searched_for_in_the_whole_ledger(
    opened: Database, statement: LiteralString
) -> None:
    """However little the planner knows of tables that have just been filled."""
    async with opened.transaction() as connection:
        explained = "EXPLAIN (GENERIC_PLAN) " + statement.replace("%(ids)s", "$1")
        plan = [line for (line,) in await (await connection.execute(explained)).fetchall()]
    assert any("Index" in line for line in plan)
    assert not [line for line in plan if "Seq Scan" in line or "Hash Join" in line or "Merge Join" in line]


async def test_writers_side_by_side_take_positions_without_a_gap(opened: Database) -> None:
    store = LedgerStore(opened, lambda _: None)
    tokens = await asyncio.gather(*(restrict(store, f"prf_{number % 3}") for number in range(30)))
    assert sorted(token.position for token in tokens) == list(range(1, 31))
    assert len({token.epoch for token in tokens}) == 1


async def test_head_is_read_after_it_was_asked_for_and_once_for_all_who_wait(opened: Database) -> None:
    heads, store = SharedHeads(opened), LedgerStore(opened, lambda _: None)
    for position in range(1, 6):
        token = await restrict(store, "prf_1")
        answers = await asyncio.gather(*(heads.read() for _ in range(20)))
        assert {(each.epoch, each.position) for each in answers} == {(token.epoch, position)}


async def test_another_timeline_is_another_epoch_before_anything_is_answered(
    opened: Database, made_database: MadeDatabase
) -> None:
    """As after the promotion of a standby: the row says which timeline it was written on."""
    heads, store = SharedHeads(opened), LedgerStore(opened, lambda _: None)
    before = await restrict(store, "prf_1")
    made_database.execute("UPDATE ledger_head SET timeline = 'FFFFFFFF'")
    answers = await asyncio.gather(*(heads.read() for _ in range(5)), restrict(store, "prf_2"))
    epochs = {each.epoch for each in answers}  # type: ignore[attr-defined]
    assert len(epochs) == 1
    assert before.epoch not in epochs
    assert (await heads.read()).epoch in epochs
    made_database.execute("UPDATE ledger_head SET timeline = 'FFFFFFFF'")
    assert (await restrict(store, "prf_1")).epoch not in {before.epoch, *epochs}


async def test_write_that_fails_leaves_no_gap(opened: Database) -> None:
    store = LedgerStore(opened, lambda _: None)
    await restrict(store, "prf_1")

    async def fail() -> None:
        async with store.unit() as unit:
            drafts = [draft_restriction("CLAIMS", now=TestClock().now())]
            await write(unit, await unit.lock(["prf_2"]), "prf_2", drafts)
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        await fail()
    assert (await restrict(store, "prf_3")).position == 2
