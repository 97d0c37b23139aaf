"""Records come back as they were written, are found by what their source calls them, and change under a position."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from psycopg import errors
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.ids import new_id
from rapport_identity.adapters import held_records
from rapport_identity.adapters.crypto import UnreadableError
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.loading import RecordLoader
from rapport_identity.adapters.orphans import OLD_AFTER, sweep_orphans
from rapport_identity.adapters.partition import PartitionStore
from rapport_identity.adapters.vault import seal_new, seal_revision
from rapport_identity.app.stored import HeldRecord, RecordDraft
from rapport_testing.clock import TestClock


async def everything(database: Database, keys: PostgresKeyStore) -> list[HeldRecord]:
    return [each async for chunk in RecordLoader(database, keys).everything() for each in chunk]


async def revise(store: PartitionStore, keys: PostgresKeyStore, draft: RecordDraft) -> int:
    """Write a new version, and return the position it took."""
    async with store.unit() as unit:
        at = await unit.lock()
        records = unit.records(at)
        known = (await records.find([draft]))[0][draft.key]
        sealed = seal_revision(draft, known, await keys.get([known.key_id]), unit.hasher(at))
        held = await unit.hold()
        await records.revise(held, [(known.record_no, sealed)])
        return await unit.advance(held)


async def test_all_records_are_read_back_in_clear_in_the_order_of_their_numbers(
    desk: Any, opened: Database, key_store: PostgresKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rapport_identity.adapters.loading.CHUNK", 40)
    drafts = desk.people(150)
    numbers = await desk.take_in(drafts[:100]) | await desk.take_in(drafts[100:103]) | await desk.take_in(drafts[103:])
    held = await everything(opened, key_store)
    assert [each.record_no for each in held] == sorted(numbers.values())
    assert {each.record_no: each.payload for each in held} == {numbers[each.key]: each.payload for each in drafts}
    assert {each.profile_id == each.recorded_under for each in held} == {True}


async def test_known_records_are_found_and_told_apart_by_whether_they_changed(desk: Any, store: PartitionStore) -> None:
    drafts = desk.people(30)
    numbers = await desk.take_in(drafts[:20])
    asked = [replace(drafts[0], payload=b"other"), *drafts[1:]]
    async with store.unit() as unit:
        found, _ = await unit.records(await unit.lock()).find(asked)
    assert {key: known.record_no for key, known in found.items()} == numbers
    assert [key for key, known in found.items() if not known.unchanged] == [drafts[0].key]


async def test_equal_ids_of_two_sources_are_two_records(desk: Any) -> None:
    (draft,) = desk.people(1)
    other = replace(draft, key=draft.key._replace(source="elsewhere"))
    numbers = await desk.take_in([draft, other])
    assert len(set(numbers.values())) == 2


async def test_holders_of_an_identifier_are_those_whose_present_version_has_it(
    desk: Any, store: PartitionStore, key_store: PostgresKeyStore
) -> None:
    one, other = [draft for draft in desk.people(300) if draft.terms][:2]
    other = replace(other, terms=one.terms)
    numbers = await desk.take_in([one, other])

    async def holders() -> list[list[int]]:
        async with store.unit() as unit:
            found = await unit.records(await unit.lock()).holders(one.terms)
        return [found.get(term, []) for term in one.terms]

    assert await holders() == [sorted(numbers.values())] * len(one.terms)
    await revise(store, key_store, replace(other, terms=(), payload=b"new"))
    assert await holders() == [[numbers[one.key]]] * len(one.terms)


async def test_what_changed_since_a_position_is_read_with_its_new_payload(
    desk: Any, store: PartitionStore, key_store: PostgresKeyStore
) -> None:
    drafts = desk.people(20)
    numbers = await desk.take_in(drafts)
    revised = replace(drafts[3], payload=b"revised", occurred_at=drafts[3].occurred_at + timedelta(days=1))
    position = await revise(store, key_store, revised)
    await desk.erase([numbers[drafts[4].key]])
    async with store.unit() as unit:
        head = await unit.read()
        changed = await held_records.opened(await held_records.since(unit.connection, 1, head.position), key_store)
        assert await held_records.since(unit.connection, head.position, head.position) == []
        (named,) = await held_records.opened(
            await held_records.named(unit.connection, [numbers[revised.key]]), key_store
        )
    assert position == 2
    assert head.position == 3
    assert [(each.record_no, each.payload, each.version, each.position) for each in changed] == [
        (numbers[revised.key], b"revised", 2, 2),
        (numbers[drafts[4].key], None, 1, 3),
    ]
    assert named == changed[0]


async def test_record_that_others_revised_meanwhile_is_not_overwritten(
    desk: Any, store: PartitionStore, key_store: PostgresKeyStore
) -> None:
    (draft,) = desk.people(1)
    await desk.take_in([draft])
    async with store.unit() as unit:
        at = await unit.read()
        known = (await unit.records(at).find([draft]))[0][draft.key]
        sealed = seal_revision(
            replace(draft, payload=b"late"), known, await key_store.get([known.key_id]), unit.hasher(at)
        )
    await revise(store, key_store, replace(draft, payload=b"first"))

    async def revise_late() -> None:
        async with store.unit() as unit:
            held = await unit.hold()
            await unit.records(held).revise(held, [(known.record_no, sealed)])

    with pytest.raises(RapportError, match="NOT_READY"):
        await revise_late()


async def test_records_follow_the_profile_they_are_assigned_to(
    desk: Any, store: PartitionStore, key_store: PostgresKeyStore
) -> None:
    drafts = desk.people(3)
    numbers = await desk.take_in(drafts)
    first, second, third = numbers.values()
    async with store.unit() as unit:
        records = unit.records(await unit.lock())
        ids = {each.record_no: each.profile_id for each in await held_records.named(unit.connection, numbers.values())}
        await records.assign({second: ids[first]})
        held = await held_records.named(unit.connection, numbers.values())
    assert [(each.profile_id, each.recorded_under) for each in held] == [
        (ids[first], ids[first]),
        (ids[first], ids[second]),
        (ids[third], ids[third]),
    ]


async def test_callers_that_create_the_same_people_at_once_create_each_once(
    desk: Any, store: PartitionStore, opened: Database, key_store: PostgresKeyStore
) -> None:
    drafts = desk.people(40)

    async def take_in_what_is_new(seed: int) -> None:
        keys = await key_store.create(len(drafts))
        sealed = seal_new(drafts, keys, await store.hasher())
        async with store.unit() as unit:
            records = unit.records(await unit.lock())
            known, _ = await records.find(drafts)
            fresh = [each for draft, each in zip(drafts, sealed, strict=True) if draft.key not in known]
            numbers = await records.numbers(len(fresh))
            held = await unit.hold()
            rows = [(number, f"prf_{seed}", each) for number, each in zip(numbers, fresh, strict=True)]
            await records.add(held, rows)
            await unit.advance(held)

    await asyncio.gather(*(take_in_what_is_new(seed) for seed in range(6)))
    held = await everything(opened, key_store)
    assert sorted(each.payload or b"" for each in held) == sorted(draft.payload for draft in drafts)
    assert len({each.profile_id for each in held}) == 1
    async with store.unit() as unit:
        assert (await unit.read()).position == 6


async def test_record_that_was_not_looked_for_is_refused_and_leaves_nothing(desk: Any, store: PartitionStore) -> None:
    drafts = desk.people(12)
    await desk.take_in(drafts[:1])
    sealed = seal_new(drafts, await desk.keys.create(len(drafts)), await store.hasher())

    async def add_blindly() -> None:
        async with store.unit() as unit:
            held = await unit.hold()
            numbers = await unit.records(held).numbers(len(drafts))
            ids = [new_id("profile") for _ in drafts]
            await unit.records(held).add(held, list(zip(numbers, ids, sealed, strict=True)))

    with pytest.raises(errors.UniqueViolation):
        await add_blindly()
    async with store.unit() as unit:
        assert len((await unit.records(await unit.lock()).find(drafts))[0]) == 1


async def test_value_moved_to_another_place_does_not_open(
    desk: Any, made_identity: Any, opened: Database, key_store: PostgresKeyStore
) -> None:
    one, other = (await desk.take_in(desk.people(2))).values()
    made_identity.database.execute(f"UPDATE records SET version = 7 WHERE record_no = {one}")
    with pytest.raises(UnreadableError):
        await everything(opened, key_store)
    made_identity.database.execute(
        f"UPDATE records AS r SET version = 1, value = (SELECT value FROM records WHERE record_no = {other})"
        f" WHERE record_no = {one}"
    )
    with pytest.raises(UnreadableError):
        await everything(opened, key_store)


async def test_positions_rise_without_a_gap_and_a_restored_server_begins_another_epoch(
    desk: Any, store: PartitionStore, made_identity: Any
) -> None:
    for draft in desk.people(3):
        await desk.take_in([draft])
    async with store.unit() as unit:
        before = await unit.read()
    made_identity.database.execute("UPDATE partition_head SET timeline = 'FFFFFFFF'")
    async with store.unit() as unit:
        after = await unit.hold()
    async with store.unit() as unit:
        assert (await unit.read()).epoch == after.epoch
    made_identity.database.execute("UPDATE partition_head SET timeline = 'FFFFFFFF'")
    async with store.unit() as unit:
        later = await unit.lock()
    async with store.unit() as unit:
        assert (await unit.read()).epoch == later.epoch != after.epoch
    assert before.position == after.position == later.position == 3
    assert before.epoch != after.epoch
    assert after.recorded_at >= before.recorded_at


async def test_orphans_are_swept_and_keys_in_use_or_young_stay(
    desk: Any, opened: Database, key_store: PostgresKeyStore, made_keys: Any
) -> None:
    drafts = desk.people(5)
    await desk.take_in(drafts)
    orphans = await key_store.create(4)
    now = TestClock().now()
    made_keys.database.execute(f"UPDATE record_keys SET created_at = '{now.isoformat()}'")
    young = now + OLD_AFTER
    assert await sweep_orphans(opened, key_store, now=young, since=now - OLD_AFTER) == 0
    later = young + timedelta(seconds=1)
    assert await sweep_orphans(opened, key_store, now=later, since=later) == 0
    assert await sweep_orphans(opened, key_store, now=later, since=now) == 4
    assert await key_store.get([key.key_id for key in orphans]) == {}
    assert len(await everything(opened, key_store)) == 5
