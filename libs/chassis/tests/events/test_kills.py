"""Whatever is killed, and whenever: no event is lost, none has its effect twice, and the index knows all of them."""

import asyncio
import dataclasses
import sys
from pathlib import Path

import pytest
from rapport_chassis.events import topology
from rapport_testing.events import Broker, append, count, profiles_merged, rows
from rapport_testing.process import RandomKiller, ServiceProcess
from rapport_testing.waiting import eventually

PROGRAMS = Path(__file__).with_name("programs")
IMPORTS = ("rapport_chassis.database.engine", "rapport_chassis.events.consumer", "rapport_chassis.events.relay")
STREAM = "RAPPORT_IDENTITY"


@pytest.fixture
async def impatient_broker(bare_broker: Broker) -> Broker:
    """A broker that delivers again a second after a consumer died, not half a minute."""
    impatient = tuple(
        dataclasses.replace(each, config={**each.config, "ack_wait": 10**9, "max_deliver": 1000})
        for each in bare_broker.topology.consumers
    )
    declared: topology.Topology = dataclasses.replace(bare_broker.topology, consumers=impatient)
    broker = dataclasses.replace(bare_broker, topology=declared)
    await broker.provision()
    return broker


@pytest.fixture
def program(killable, impatient_broker, tmp_path):
    """Makes the processes; they die with the test."""
    made: list[ServiceProcess] = []

    def make(name, batch=50, *, together=False):
        _, settings, _ = killable
        environment = {
            "RAPPORT_TEST_DSN": settings.dsn.get_secret_value(),
            "RAPPORT_TEST_NATS": impatient_broker.settings.url,
            "RAPPORT_TEST_BATCH": str(batch),
            "RAPPORT_TEST_TOGETHER": "yes" if together else "",
        }
        made.append(
            ServiceProcess(
                [sys.executable, str(PROGRAMS / f"{name}.py")],
                environment,
                tmp_path / f"{name}-{len(made)}.log",
                ready_line="running",
                imports=IMPORTS,
            )
        )
        return made[-1]

    yield make
    for process in made:
        process.kill()


async def write(database, many, per_transaction=100):
    events = [profiles_merged() for _ in range(many)]
    for start in range(0, many, per_transaction):
        await append(database, *events[start : start + per_transaction])
    return {event.id for event in events}


async def published_all(database):
    async def is_empty():
        return await count(database, "outbox") == 0

    await eventually(is_empty, 300, 0.1)


async def assert_indexed(database, broker, ids):
    """Every event is in the stream, once, and the index knows where and whom it concerns."""
    stored = await broker.stored(STREAM)
    assert sorted(message.headers["ce-id"] for message in stored) == sorted(ids)
    indexed = await rows(database, "SELECT event_id, sequence, cardinality(profile_ids) FROM published")
    assert sorted(indexed) == sorted((message.headers["ce-id"], message.sequence, 2) for message in stored)


@pytest.mark.parametrize("place", ["relay.published", "relay.marked"])
async def test_a_relay_killed_around_its_note_loses_and_doubles_nothing(
    killable, impatient_broker, program, scale, prove, place
):
    _, _, database = killable
    ids = await write(database, scale.pick(small=500, full=10_000))
    kills = scale.pick(small=3, full=50)
    relay = program("relay")
    for number in range(kills):
        relay.arm(f"{place}=kill@{number % 3 + 1}")
        await asyncio.to_thread(relay.start, wait=False)
        await asyncio.to_thread(relay.wait_killed)
    relay.arm()
    await asyncio.to_thread(relay.start)
    await published_all(database)
    await assert_indexed(database, impatient_broker, ids)
    prove("chassis", **{f"{place}_kills": kills, f"{place}_events": len(ids), f"{place}_lost_or_doubled": 0})


@pytest.mark.parametrize(
    ("place", "together"), [("consumer.received", False), ("consumer.effected", False), ("consumer.effected", True)]
)
async def test_a_consumer_killed_around_its_effect_brings_it_about_once(
    killable, impatient_broker, program, scale, prove, place, together
):
    _, _, database = killable
    ids = await write(database, scale.pick(small=200, full=10_000))
    relay, consumer = program("relay", batch=500), program("consumer", together=together)
    await asyncio.to_thread(relay.start)
    kills = scale.pick(small=2, full=25)
    for number in range(kills):
        consumer.arm(f"{place}=kill@{1 if together else number * 3 + 5}")  # of groups there are few
        await asyncio.to_thread(consumer.start, wait=False)
        await asyncio.to_thread(consumer.wait_killed)
    consumer.arm()
    await asyncio.to_thread(consumer.start)
    await published_all(database)
    await effected(database, ids)
    kind = f"{place}_together" if together else place
    prove("chassis", **{f"{kind}_kills": kills, f"{kind}_events": len(ids), f"{kind}_lost_or_doubled": 0})


async def test_with_everything_killed_at_random_each_event_has_its_effect_once(
    killable, impatient_broker, program, scale, prove
):
    server, _, database = killable
    relay, consumer = program("relay"), program("consumer")
    await asyncio.to_thread(relay.start)
    await asyncio.to_thread(consumer.start)
    many = scale.pick(small=1000, full=10_000)
    ids: set[str] = set()
    wanted = scale.pick(small=5, full=100)
    with RandomKiller([relay, consumer, impatient_broker.server, server], seed=many, between=(0.1, 0.6)) as killer:
        while len(ids) < many:
            assert killer.is_killing
            ids |= await written_through_outages(database, 50)
        await eventually(lambda: killer.kills >= wanted or not killer.is_killing, timeout_s=60)
        assert killer.kills >= wanted
    await published_all(database)
    await effected(database, ids)
    await assert_indexed(database, impatient_broker, ids)
    prove("chassis", random_kills=killer.kills, random_kill_events=len(ids), random_kill_lost_or_doubled=0)


async def written_through_outages(database, many):
    """Write one transaction of events; where the outcome is unknown, look, as a client with a request id would."""
    events = [profiles_merged() for _ in range(many)]
    ids = {event.id for event in events}

    async def is_written():
        if await seen(database, events[0].id):
            return True
        await append(database, *events)
        return True

    async def attempt():
        try:
            return await is_written()
        except Exception:
            return False

    await eventually(attempt, 60)
    return ids


async def seen(database, event_id):
    ((found,),) = await rows(
        database,
        "SELECT EXISTS (SELECT FROM outbox WHERE event_id = %s) OR EXISTS (SELECT FROM published WHERE event_id = %s)",
        [event_id, event_id],
    )
    return found


async def effected(database, ids):
    async def is_complete():
        ((found,),) = await rows(database, "SELECT count(DISTINCT event_id) FROM effects")
        return found == len(ids)

    await eventually(is_complete, 300, 0.1)
    found = await rows(database, "SELECT event_id FROM effects")
    assert sorted(event_id for (event_id,) in found) == sorted(ids)
