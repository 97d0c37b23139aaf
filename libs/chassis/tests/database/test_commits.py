"""Whoever waits for commits sleeps through none, and costs one look together with all others."""

from __future__ import annotations

import asyncio
from functools import partial

import psycopg
import pytest
from rapport_chassis.background import Stepping
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.commits import SNAPSHOT, Commits
from rapport_chassis.database.engine import Database
from rapport_testing.waiting import eventually

INSERT = "INSERT INTO inbox (consumer, event_id) VALUES ('c', %s)"
FOR_EVER_S = 600.0


async def test_a_commit_wakes_whoever_waits_also_one_of_a_transaction_that_began_before_others(
    service_database: Database,
) -> None:
    commits = service_database.commits
    async with service_database.transaction() as early:
        await early.execute(INSERT, ["early"])
        async with service_database.transaction() as late:
            await late.execute(INSERT, ["late"])
        await commits.since(commits.mark, pace_s=0.01, at_most_s=FOR_EVER_S)
        open_still = commits.mark
        waiting = asyncio.create_task(commits.since(open_still, pace_s=0.01, at_most_s=FOR_EVER_S))
    await waiting
    assert commits.mark != open_still


async def test_many_who_wait_cost_one_look_and_none_when_all_have_gone() -> None:
    looks = 0

    async def look() -> str:
        nonlocal looks
        looks += 1
        return "news" if looks > 5 else "as before"

    commits = Commits(look)
    await commits.since(commits.mark, pace_s=0.001, at_most_s=FOR_EVER_S)
    mark = commits.mark
    await asyncio.gather(*(commits.since(mark, pace_s=0.001, at_most_s=FOR_EVER_S) for _ in range(50)))
    assert looks == 6
    await eventually(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "commits"])


async def test_a_server_that_is_away_wakes_all_so_that_each_finds_out() -> None:
    async def look() -> str:
        raise ConnectionError

    commits = Commits(look)
    for _ in range(3):
        await commits.since(commits.mark, pace_s=0.001, at_most_s=FOR_EVER_S)


async def test_what_only_reads_is_no_commit(service_database: Database) -> None:
    async with service_database.transaction() as connection:
        await connection.execute(SNAPSHOT)
        await connection.execute("SELECT count(*) FROM inbox")
        row = await (await connection.execute("SELECT pg_current_xact_id_if_assigned()")).fetchone()
    assert row == (None,)


async def test_a_step_that_found_nothing_is_not_taken_while_nothing_is_committed() -> None:
    taken = looks = 0

    async def look() -> str:
        nonlocal looks
        looks += 1
        return "as before"

    async def step() -> bool:
        nonlocal taken
        taken += 1
        return False

    stepping = Stepping(
        "idle", step, SystemClock(), share=1.0, idle_s=0.001, commits=Commits(look), overdue_s=FOR_EVER_S
    )
    await stepping.start()
    await eventually(lambda: looks > 20)
    await stepping.stop()
    assert taken == 2  # again after the first look, which there was nothing to compare with


async def test_a_step_that_found_nothing_is_taken_again_when_something_was_committed(
    service_database: Database,
) -> None:
    found: list[int] = []

    async def step() -> bool:
        async with service_database.looking() as connection:
            row = await (await connection.execute("SELECT count(*) FROM inbox")).fetchone()
        assert row is not None
        if row[0] in found:
            return False
        found.append(row[0])
        return True

    stepping = Stepping(
        "counting", step, SystemClock(), share=1.0, idle_s=0.01, commits=service_database.commits, overdue_s=FOR_EVER_S
    )
    await stepping.start()
    try:
        for number in (1, 2, 3):
            async with service_database.transaction() as connection:
                await connection.execute(INSERT, [str(number)])
            await eventually(partial(found.__contains__, number))
    finally:
        await stepping.stop()


async def test_a_look_leaves_a_connection_as_it_was(service_database: Database) -> None:
    async def fail() -> None:
        async with service_database.looking() as connection:
            await connection.execute("SELECT 1/0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        await fail()
    async with service_database.looking() as connection:
        await connection.execute(INSERT, ["1"])
        async with service_database.transaction() as other:
            row = await (await other.execute("SELECT count(*) FROM inbox")).fetchone()
        assert row == (1,)

    async def give_up() -> None:
        async with service_database.transaction() as connection:
            await connection.execute(INSERT, ["2"])
            raise KeyError

    with pytest.raises(KeyError):
        await give_up()
    async with service_database.looking() as connection:
        row = await (await connection.execute("SELECT count(*) FROM inbox")).fetchone()
    assert row == (1,)
