"""Facts follow their records, events sent again are answered, constraints bind records until they are withdrawn."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import errors
from rapport_identity.adapters import constraints, facts
from rapport_identity.adapters.facts import Answer
from rapport_identity.adapters.partition import PartitionStore
from rapport_identity.app.stored import ConstraintKind, SourceKey, StoredConstraint, StoredFact

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def fact(name: str, record_no: int, profile: str = "prf_a", version: int = 1) -> StoredFact:
    return StoredFact(f"fct_{name}", record_no, profile, version, "order_placed", name.encode(), AT, AT)


async def test_facts_of_moved_records_are_given_to_their_new_owner_once(store: PartitionStore) -> None:
    made = [fact(f"{number:02}", number % 3) for number in range(30)]
    async with store.unit() as unit:
        held = await unit.hold()
        await facts.add(unit.connection, held.position + 1, made, [[] for _ in made])
        moving = await facts.of_records(unit.connection, [1])
        assert moving == [each for each in made if each.record_no == 1]
        owners = [(each.fact_id, "prf_b", 2) for each in moving]
        assert await facts.give(unit.connection, held, owners) == 10
        assert await facts.give(unit.connection, held, owners) == 0
        assert await facts.give(unit.connection, held, [(each.fact_id, "prf_late", 1) for each in moving]) == 0
        assert await facts.of_records(unit.connection, [1]) == [
            replace(each, profile_id="prf_b", owner_version=2) for each in moving
        ]
        assert {each.profile_id for each in await facts.of_records(unit.connection, [0, 2])} == {"prf_a"}


async def test_event_that_was_taken_in_is_answered_and_not_taken_in_again(store: PartitionStore) -> None:
    first, second = SourceKey("shop", "order 1"), SourceKey("app", "order 1")
    async with store.unit() as unit:
        held = await unit.hold()
        hasher = unit.hasher(held)
        assert await facts.answered(unit.connection, hasher, [first, second]) == {}
        await facts.remember(unit.connection, held.recorded_at, hasher, [(first, Answer("fct_1", b"yes"))])
        assert await facts.answered(unit.connection, hasher, [first, second]) == {first: Answer("fct_1", b"yes", None)}
    with pytest.raises(errors.UniqueViolation):
        async with store.unit() as unit:
            await facts.remember(unit.connection, held.recorded_at, hasher, [(first, Answer(None, b"no"))])


async def test_erasure_takes_facts_with_what_is_known_of_their_events(store: PartitionStore) -> None:
    events = [SourceKey("shop", f"order {number}") for number in range(3)]
    async with store.unit() as unit:
        held = await unit.hold()
        hasher = unit.hasher(held)
        await facts.add(unit.connection, 1, [fact(str(number), number) for number in range(3)], [[], [], []])
        answers = [(event, Answer(f"fct_{number}", b"yes")) for number, event in enumerate(events)]
        await facts.remember(unit.connection, held.recorded_at, hasher, answers)
        assert await facts.erase(unit.connection, [1]) == 1
        assert list(await facts.answered(unit.connection, hasher, events)) == [events[0], events[2]]
        assert [each.record_no for each in await facts.of_records(unit.connection, [0, 1, 2])] == [0, 2]


async def test_old_events_are_forgotten(store: PartitionStore) -> None:
    async with store.unit() as unit:
        held = await unit.hold()
        hasher = unit.hasher(held)
        for age in range(3):
            then = held.recorded_at - timedelta(days=age)
            await facts.remember(unit.connection, then, hasher, [(SourceKey("s", str(age)), Answer(None, b""))])
        assert await facts.sweep_after(timedelta(days=1))(unit.connection, held.recorded_at) == 1
        known = await facts.answered(unit.connection, hasher, [SourceKey("s", str(age)) for age in range(3)])
        assert sorted(known) == [("s", "0"), ("s", "1")]


def constraint(
    name: str, *groups: tuple[int, ...], kind: ConstraintKind = ConstraintKind.NEVER_MATCH
) -> StoredConstraint:
    return StoredConstraint(f"cst_{name}", kind, groups, AT, "op-7", "TICKET 1", "rvw_1")


async def test_constraint_is_in_force_until_it_is_withdrawn(store: PartitionStore) -> None:
    apart = constraint("apart", (1, 2), (3,), (4, 5, 6))
    together = constraint("together", (1, 2), kind=ConstraintKind.MUST_MATCH)
    async with store.unit() as unit:
        held = await unit.hold()
        await constraints.add(unit.connection, held, together)
        await constraints.add(unit.connection, held, apart)
        await unit.advance(held)
    async with store.unit() as unit:
        assert await constraints.in_force(unit.connection) == [apart, together]
        assert await constraints.page(unit.connection, [2], None, 10, withdrawn=False) == [together, apart]
        assert await constraints.page(unit.connection, [6, 7], None, 10, withdrawn=False) == [apart]
        held = await unit.hold()
        assert await constraints.withdraw(unit.connection, held, "cst_apart", actor="op-8")
        assert not await constraints.withdraw(unit.connection, held, "cst_apart", actor="op-9")
        assert not await constraints.withdraw(unit.connection, held, "cst_none", actor="op-9")
        await unit.advance(held)
    withdrawn = replace(apart, withdrawn_at=held.recorded_at, withdrawn_by="op-8")
    async with store.unit() as unit:
        assert await constraints.in_force(unit.connection) == [together]
        assert await constraints.page(unit.connection, [2], None, 10, withdrawn=False) == [together]
        assert await constraints.page(unit.connection, [2], None, 10, withdrawn=True) == [together, withdrawn]
        assert await constraints.get(unit.connection, "cst_apart") == withdrawn
        assert await constraints.get(unit.connection, "cst_none") is None
        assert await constraints.since(unit.connection, 0, 1) == [together]
        assert await constraints.since(unit.connection, 1, 2) == [withdrawn]


async def test_erased_record_is_released_from_constraints(store: PartitionStore) -> None:
    async with store.unit() as unit:
        await constraints.add(unit.connection, await unit.hold(), constraint("apart", (1, 2), (3,)))
        assert await constraints.release(unit.connection, [2, 9]) == 1
        assert await constraints.release(unit.connection, [3]) == 1
        assert await constraints.in_force(unit.connection) == [constraint("apart", (1,))]
