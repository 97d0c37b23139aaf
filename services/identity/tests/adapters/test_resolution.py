"""Resolution against real databases: order, replicas, callers at once, failures, restarts."""

from __future__ import annotations

import asyncio
import random

import pytest
from rapport.identity.v1 import events_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_identity.adapters import profiles
from rapport_identity.adapters.partition import PartitionUnit
from rapport_identity.app.batcher import Batcher
from rapport_identity.app.resolve import Outcome
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.resolution import resolve
from rapport_identity.population import Population
from rapport_identity.translate.records import record_of

COUNT = 120


@pytest.fixture
def sightings(as_message):
    return [as_message(sighting) for sighting in Population(7).sightings(COUNT)]


def persons_of(messages):
    return set(resolve([record_of(message) for message in messages], default_matcher()).partition.clusters)


def shuffled(messages, seed):
    messages = list(messages)
    random.Random(seed).shuffle(messages)
    return messages


async def test_any_order_singly_or_in_bulk_ends_in_the_persons_of_all_at_once(start, sightings):
    process = await start()
    rest = shuffled(sightings, 1)
    draw = random.Random(2)
    while rest:
        size = draw.choice([1, 1, 5, 40])
        await process.resolve(rest[:size])
        rest = rest[size:]
    assert set(process.persons().values()) == persons_of(sightings)


async def test_three_processes_at_once_end_in_one_partition_that_a_fourth_reads(start, sightings):
    processes = [await start() for _ in range(3)]
    rest = shuffled(sightings, 3)

    async def feed(process, messages):
        for at in range(0, len(messages), 7):
            await process.resolve(messages[at : at + 7])

    await asyncio.gather(*(feed(process, rest[at::3]) for at, process in enumerate(processes)))
    for process in processes:
        await process.partition.refresh()
    fourth = await start()
    assert set(fourth.persons().values()) == persons_of(sightings)
    for process in processes:
        assert process.persons() == fourth.persons()
        assert process.partition.replica.versions == fourth.partition.replica.versions
        assert process.partition.replica.facets == fourth.partition.replica.facets


async def test_many_callers_who_create_the_same_people_at_once_make_each_once(start, sightings):
    processes = [await start() for _ in range(3)]
    batchers = [Batcher(process.resolve) for process in processes]
    people = sightings[:20]
    calls = [batchers[at % 3](message) for at in range(64) for message in people[at % 4 :: 4]]
    answers = await asyncio.gather(*calls)
    for process in processes:
        await process.partition.refresh()
    assert len(processes[0].partition.replica.index) == len(people)
    assert set(processes[0].persons().values()) == persons_of(people)
    assert sum(answer.outcome is not Outcome.UNCHANGED for answer in answers) == len(people)


async def test_a_repeat_is_answered_and_an_earlier_version_changes_nothing(start, sightings):
    process = await start()
    (first,) = await process.resolve(sightings[:1])
    (again,) = await process.resolve(sightings[:1])
    assert (first.outcome, again.outcome) == (Outcome.CREATED, Outcome.UNCHANGED)
    assert (again.profile_id, again.token) == (first.profile_id, first.token)
    older = type(sightings[0])()
    older.CopyFrom(sightings[0])
    older.occurred_at.FromDatetime(older.occurred_at.ToDatetime().replace(year=1999))
    older.brand_id = "other"
    (late,) = await process.resolve([older])
    assert (late.outcome, late.version) == (Outcome.UNCHANGED, 1)


async def test_a_failure_leaves_the_replica_as_it_was_and_a_repeat_works(start, sightings, monkeypatch):
    process = await start()
    await process.resolve(sightings[:60])
    before = process.persons(), dict(process.partition.replica.versions), len(process.partition.replica.index)

    async def fail(*_args):
        raise RuntimeError("pulled the plug")

    with monkeypatch.context() as broken:
        broken.setattr(PartitionUnit, "advance", fail)
        with pytest.raises(RuntimeError, match="plug"):
            await process.resolve(sightings[60:])
    after = process.persons(), dict(process.partition.replica.versions), len(process.partition.replica.index)
    assert after == before
    await process.resolve(sightings[60:])
    assert set(process.persons().values()) == persons_of(sightings)


async def test_a_reader_of_the_events_alone_knows_what_every_id_stands_for(start, opened: Database, sightings):
    process = await start()
    for message in shuffled(sightings, 5):
        await process.resolve([message])
    told: dict[str, tuple[int, str]] = {}
    async with opened.transaction() as connection:
        rows = await (await connection.execute("SELECT type, payload FROM outbox")).fetchall()
        id_map = dict(await profiles.id_map(connection, "", 10_000))
    for type_, payload in rows:
        name = type_.rsplit(".", 1)[-1]
        if name in ("profile_created", "profile_updated"):
            parsed = events_pb2.ProfileCreated.FromString(payload)
            parts = [events_pb2.ResultingProfile(profile_id=parsed.profile_id, version=parsed.version)]
        elif name == "profiles_merged":
            parts = list(events_pb2.ProfilesMerged.FromString(payload).profiles)
        else:
            parts = list(events_pb2.ProfileSplit.FromString(payload).profiles)
        for part in parts:
            for each in (part.profile_id, *part.redirect_ids):
                if part.version > told.get(each, (0, ""))[0]:
                    told[each] = (part.version, part.profile_id)
    assert {each: stands_for for each, (_, stands_for) in told.items()} == id_map
    assert any(name.endswith("profiles_merged") for name, _ in rows)


async def test_a_new_version_of_a_record_whose_key_is_destroyed_is_refused_and_the_replica_stays(
    start, opened: Database, key_store, sightings
):
    process = await start()
    await process.resolve(sightings[:10])
    before = process.persons()
    async with opened.transaction() as connection:
        rows = await (await connection.execute("SELECT key_id FROM records WHERE record_no = 1")).fetchall()
    await key_store.destroy([key_id for (key_id,) in rows])
    index = process.partition.replica.index
    changed = next(each for each in sightings if index.number_of(record_of(each).key) == 1)
    changed.brand_id = "changed"
    with pytest.raises(RapportError, match="being erased"):
        await process.resolve([changed])
    assert process.persons() == before
    started = await start()
    assert 1 not in started.partition.replica.index
    assert len(started.partition.replica.index) == 9
