"""The event log: a fact counts once, its last issue says whose it is, and whoever follows ends where a reader does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from rapport_chassis.database.engine import Database
from rapport_churn.adapters.held_facts import take_out
from rapport_churn.adapters.log import FactLog
from rapport_churn.app.ports import Scope
from rapport_churn.app.states import States
from rapport_churn.app.times import moment_of
from rapport_churn.domain.facts import DAY, Fact, FactKind
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.state import ProfileState
from rapport_churn.domain.vectors import Plan
from rapport_privacy.participant.holding import Held

NOW = 20_000 * DAY
PEOPLE = ["prf_a", "prf_b", "prf_c"]
PLAN = Plan(DEFAULT_FEATURES)


def order(number: int, who: str = "prf_a", version: int = 1, arrived_at: int = NOW) -> Fact:
    return Fact(f"fct_{number}", who, version, FactKind.ORDER, NOW - number * DAY, arrived_at, 1000 + number, 2, 1)


async def enter(database: Database, *facts: Fact) -> int:
    log = FactLog(database)
    async with database.transaction() as connection:
        return await log.append(connection, await log.hold(connection), facts)


async def positions(database: Database) -> list[int]:
    async with database.transaction() as connection:
        rows = await (await connection.execute("SELECT position FROM facts ORDER BY position")).fetchall()
    return [row[0] for row in rows]


async def test_a_repeated_fact_takes_no_position(opened: Database) -> None:
    assert await enter(opened, order(1), order(2)) == 2
    assert await enter(opened, order(2), order(3), order(3)) == 1
    assert await positions(opened) == [1, 2, 3]
    assert [fact.fact_id for fact in (await FactLog(opened).of(["prf_a"])).facts] == ["fct_3", "fct_2", "fct_1"]


async def test_a_fact_issued_again_moves_and_keeps_when_it_arrived_and_an_older_issue_is_no_news(
    opened: Database,
) -> None:
    await enter(opened, order(1))
    assert await enter(opened, order(1, "prf_b", 2, NOW + 5)) == 1
    assert await enter(opened, order(1, "prf_a", 1), order(1, "prf_c", 2)) == 0
    log = FactLog(opened)
    assert (await log.of(["prf_a", "prf_c"])).facts == []
    (moved,) = (await log.of(["prf_b"])).facts
    assert (moved.owner_version, moved.arrived_at) == (2, NOW)
    stretch = await log.after((await log.of([])).epoch, 0, 10)
    assert [(each.position, each.fact.profile_id, each.moved_from) for each in stretch.facts] == [
        (2, "prf_b", ("prf_a",))
    ]


async def test_who_missed_issues_in_between_takes_the_fact_from_everybody_who_had_it(opened: Database) -> None:
    states = States(FactLog(opened), PLAN, 10)
    await enter(opened, order(1, "prf_a"))
    first = await states.get(("prf_a",))
    await enter(opened, order(1, "prf_b", 2))
    await enter(opened, order(1, "prf_c", 3))
    await states.follow()
    assert len(first) == 0
    assert len(await states.get(("prf_c",))) == 1


async def test_writers_at_the_same_time_take_positions_one_after_the_other(opened: Database) -> None:
    await asyncio.gather(*(enter(opened, order(number)) for number in range(20)))
    assert await positions(opened) == list(range(1, 21))


async def test_of_what_follows_a_position_only_so_much_is_read_and_nothing_left_out(opened: Database) -> None:
    log = FactLog(opened)
    for number in range(7):
        await enter(opened, order(number))
        async with opened.transaction() as connection:
            await log.hold(connection)
            await log.note(connection, [f"prf_{number}"], Scope.SCORES, {}, moment_of(NOW))
    found: list[int] = []
    position, epoch = 0, (await log.of([])).epoch
    while True:
        stretch = await log.after(epoch, position, 3)
        found += sorted([*(each.position for each in stretch.facts), *(each.position for each in stretch.removals)])
        if stretch.position == position:
            break
        position = stretch.position
    assert found == list(range(1, 15))


async def test_another_epoch_says_nothing_but_where_it_ends(opened: Database) -> None:
    await enter(opened, order(1))
    stretch = await FactLog(opened).after("another", 0, 10)
    assert (stretch.position, list(stretch.facts)) == (1, [])


async def test_a_state_that_follows_the_log_is_the_one_that_is_read_from_it(opened: Database) -> None:
    chance = random.Random(4)
    log = FactLog(opened)
    states = States(log, PLAN, 2)
    await states.follow()
    issued: list[Fact] = []
    for turn in range(60):
        who = chance.choice(PEOPLE)
        if issued and chance.random() < 0.3:
            again = chance.choice(issued)
            fact = again._replace(profile_id=who, owner_version=again.owner_version + chance.choice([0, 1, 1]))
        else:
            fact = order(turn, who)
        issued.append(fact)
        await enter(opened, fact)
        if chance.random() < 0.1:
            gone = chance.choice(PEOPLE)
            async with opened.transaction() as connection:
                await log.hold(connection)
                await take_out(connection, [gone], Held(everything=chance.random() < 0.5))
                await log.note(connection, [gone], Scope.FACTS, {}, moment_of(NOW))
        if chance.random() < 0.5:
            await states.get((chance.choice(PEOPLE),))
        if chance.random() < 0.7:
            await states.follow()
    while await states.follow():
        pass
    for who in PEOPLE:
        read = ProfileState(PLAN, (await log.of([who])).facts)
        assert await states.get((who,)) == read
    assert len(states) == 2


async def test_two_ids_of_one_person_are_one_state_and_none_is_left_of_either(opened: Database) -> None:
    await enter(opened, order(1, "prf_a"), order(2, "prf_b"))
    states = States(FactLog(opened), PLAN, 10)
    assert len(await states.get(("prf_a",))) == 1
    assert len(await states.get(("prf_b",))) == 1
    assert len(await states.get(("prf_a", "prf_b"))) == 2
    assert len(states) == 1
    assert states.hit(("prf_b",)) is None
    await enter(opened, order(3, "prf_b"))
    await states.follow()
    merged = states.hit(("prf_a", "prf_b"))
    assert merged is not None
    assert len(merged) == 3
    states.forget(["prf_b"])
    assert len(states) == 0


@pytest.mark.parametrize("ids", [("prf_a",), ("prf_a", "prf_b")])
async def test_a_state_is_in_memory_after_its_first_use_alone(opened: Database, ids: Sequence[str]) -> None:
    states = States(FactLog(opened), PLAN, 10)
    assert states.hit(tuple(ids)) is None
    loaded = await states.get(tuple(ids))
    assert states.hit(tuple(ids)) is loaded
