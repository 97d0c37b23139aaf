"""Whoever may not be profiled any more is in no state, score, table or message; a kill at any point leaves no leak."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from churn_desk import Desk, open_desk
from churn_events import days_ago, order
from churn_installation import PROFILING, STREAM, ChurnInstallation, open_database, register, start_installation
from rapport.churn.v1 import churn_pb2, events_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.ids import new_id
from rapport_testing.events import rows
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

RAISED, CLEARED = events_pb2.RiskRaised, events_pb2.RiskCleared
WITHIN_S = 5.0


@pytest.fixture
async def database(installation: ChurnInstallation) -> AsyncIterator[Database]:
    async with open_database(installation) as opened:
        yield opened


async def until_raised(desk: Desk, who: str) -> Any:
    """Wait until a risk is raised."""

    async def so() -> Any:
        return next((each for each in await desk.told(who) if type(each) is RAISED), None)

    return await eventually(so, timeout_s=20)


async def until_cleared(desk: Desk, who: str, timeout_s: float = WITHIN_S) -> Any:
    """Wait until nothing is told of somebody but that nothing may be said."""

    async def so() -> Any:
        told = await desk.told(who)
        assert [type(each) for each in told] == [CLEARED]
        return told[0]

    return await eventually(so, timeout_s=timeout_s)


async def traces(database: Database, who: str) -> list[str]:
    """The tables in which somebody is named, other than as one of whom nothing may be said."""
    found: list[str] = []
    for table, question in {
        "facts": "profile_id = %(who)s OR %(who)s = ANY (moved_from)",
        "scores": "profile_id = %(who)s AND body IS NOT NULL",
        "decisions": "profile_id = %(who)s",
        "reviews": "profile_id = %(who)s",
    }.items():
        statement = f"SELECT count(*) FROM {table} WHERE {question}"  # names of the test's own
        async with database.transaction() as connection:
            row = await (await connection.execute(statement.encode(), {"who": who})).fetchone()
        if row is not None and row[0]:
            found.append(table)
    return found


async def ranked(desk: Desk) -> set[str]:
    """Everybody who is ranked."""
    answer = await desk.shop.RankProfiles(churn_pb2.RankProfilesRequest(page_size=500))
    assert not answer.next_page_token
    return {each.profile_id for each in answer.profiles}


async def test_a_withdrawal_takes_state_scores_and_messages_away_and_says_so(
    desk: Desk, model_id: str, database: Database
) -> None:
    who, other = await desk.customer(320, 310), await desk.customer(320, 310)
    raised = await until_raised(desk, who)
    await until_raised(desk, other)
    desk.installation.ledger.withdraw(who, PROFILING)
    cleared = await until_cleared(desk, who)
    assert (cleared.clearance, cleared.version) == (events_pb2.RISK_CLEARANCE_NOT_PERMITTED, raised.version + 1)
    # That there was a score can still be explained, and contested; nothing else is left.
    assert await traces(database, who) == ["decisions"]
    assert (await desk.explain(raised.decision_id)).score.profile_id == who
    assert who not in await ranked(desk)
    assert RAISED in [type(each) for each in await desk.told(other)]
    await desk.tell(order(who, days_ago(1)))
    await desk.tell(order(other, days_ago(1)))
    await desk.until_known(other, 3)
    assert await traces(database, who) == ["decisions"]


async def test_an_erasure_leaves_the_ids_of_decisions_alone(desk: Desk, model_id: str, database: Database) -> None:
    who = await desk.customer(320, 310)
    raised = await until_raised(desk, who)
    asked = await desk.score(who)
    desk.installation.ledger.erase(who)
    await until_cleared(desk, who)
    await eventually(lambda: _is_gone(database, who), timeout_s=WITHIN_S)
    for decision_id in (raised.decision_id, asked.decision_id):
        with refused("PROFILE_ERASED"):
            await desk.explain(decision_id)
    with refused("PROFILE_ERASED"):
        await desk.score(who)
    with refused("PROFILE_ERASED"):
        await desk.features(who)
    blocks = list(desk.installation.nats.data_folder.glob(f"**/{STREAM}/**/*.blk"))
    assert blocks
    assert sum(block.read_bytes().count(raised.decision_id.encode()) for block in blocks) == 0


async def _is_gone(database: Database, who: str) -> bool:
    return await traces(database, who) == []


async def test_a_restriction_takes_scores_away_and_gives_them_back_when_it_is_lifted(
    desk: Desk, model_id: str, database: Database
) -> None:
    who = await desk.customer(320, 310)
    first = await until_raised(desk, who)
    desk.installation.ledger.restrict(who)
    cleared = await until_cleared(desk, who)
    assert await traces(database, who) == ["facts", "decisions"]
    desk.installation.ledger.restrict(who, in_force=False)
    again = await until_raised(desk, who)
    assert first.version < cleared.version < again.version


async def test_facts_come_back_with_a_new_grant_only_as_they_happen_again(desk: Desk, model_id: str) -> None:
    who = await desk.customer(60, 50)
    await desk.until_serving(model_id, who)
    desk.installation.ledger.withdraw(who, PROFILING)
    await desk.until_refused(who, "PROFILING_DENIED")
    desk.installation.ledger.grant(who, PROFILING)
    await desk.until_refused(who, "NOTHING_KNOWN")
    await desk.tell(order(who, days_ago(1)))
    await desk.until_known(who, 1)


async def test_a_fact_that_turns_out_to_be_of_one_who_refused_leaves_whoever_had_it(desk: Desk, model_id: str) -> None:
    who, refusing = await desk.customer(60, 50), await desk.customer(60)
    desk.installation.ledger.withdraw(refusing, PROFILING)
    await desk.until_refused(refusing, "PROFILING_DENIED")
    fact_id = new_id("fact")
    await desk.tell(order(who, days_ago(3), fact_id=fact_id))
    await desk.until_known(who, 3)
    await desk.tell(order(refusing, days_ago(3), fact_id=fact_id, version=2))
    await desk.until_known(who, 2)


async def test_who_was_absorbed_is_nobody_of_whom_anything_is_said(
    desk: Desk, model_id: str, database: Database
) -> None:
    survivor, absorbed = await desk.customer(5), await desk.customer(330, 320)
    await until_raised(desk, absorbed)
    desk.installation.ledger.merge(survivor, absorbed)

    async def cleared() -> bool:
        told = [each for each in await desk.told(absorbed) if type(each) is CLEARED]
        return bool(told) and told[-1].clearance == events_pb2.RISK_CLEARANCE_OUT_OF_POPULATION

    await eventually(cleared, timeout_s=20)
    assert await traces(database, absorbed) == ["facts", "decisions"]
    assert absorbed not in await ranked(desk)
    desk.installation.ledger.withdraw(survivor, PROFILING)

    async def gone() -> bool:
        return await traces(database, absorbed) == await traces(database, survivor) == ["decisions"]

    await eventually(gone, timeout_s=WITHIN_S)


@pytest.mark.heavy
def test_kills_in_the_middle_leave_no_leak_and_nobody_waiting(tmp_path: Path) -> None:
    installation = start_installation(tmp_path)
    try:
        asyncio.run(_killed(installation))
    finally:
        installation.stop()


async def _killed(installation: ChurnInstallation) -> None:
    service = installation.process()

    async def again(armed: str) -> None:
        """Wait for the kill, and start with another one ahead."""
        await asyncio.to_thread(service.wait_killed)
        service.arm(*([f"{armed}=kill"] if armed else []))
        await asyncio.to_thread(service.start, wait=False)

    service.arm("churn.removed=kill")
    await asyncio.to_thread(service.start)
    try:
        async with open_desk(installation) as desk, open_database(installation) as database:
            await desk.until_ready()
            await desk.promote(await register(installation))
            people = [await desk.customer(320, 310) for _ in range(2)]
            undecided = await desk.customer(320, 310, permitted=False)
            for who in people:
                await until_raised(desk, who)
            await eventually(lambda: _waits(database, undecided), timeout_s=20)
            for who in people:
                installation.ledger.withdraw(who, PROFILING)
            await again("churn.messages_deleted")
            await again("churn.permitted")
            for who in people:
                await until_cleared(desk, who, timeout_s=20)
                assert await traces(database, who) == ["decisions"]
            installation.ledger.grant(undecided, PROFILING)
            await again("")
            await until_raised(desk, undecided)
    finally:
        await asyncio.to_thread(service.kill)


async def _waits(database: Database, who: str) -> bool:
    """Whether somebody was looked at, and is not to be looked at again by itself."""
    statement = "SELECT count(*) FROM scores WHERE profile_id = %s AND body IS NULL AND rescore_at IS NULL"
    return await rows(database, statement, [who]) == [(1,)]
