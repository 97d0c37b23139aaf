"""Erasure in the stream: all of one person's events and nobody else's, overwritten on disk."""

import asyncio

import pytest
from rapport_chassis.events.eraser import Erased, Eraser
from rapport_chassis.events.relay import Relay
from rapport_chassis.ids import new_id
from rapport_testing.events import append, count, fence_raised, granted, profiles_merged, rows
from rapport_testing.waiting import eventually

STREAM = "RAPPORT_CONSENT"


@pytest.fixture
def person():
    return new_id("profile")


@pytest.fixture
async def published(service_database, broker, telemetry):
    """Publishes events through the outbox and returns when all are out."""
    relay = Relay("consent", database=service_database, nats=broker.settings, telemetry=telemetry)
    await relay.start()

    async def publish(*events):
        await append(service_database, *events)

        async def is_empty():
            return await count(service_database, "outbox") == 0

        await eventually(is_empty, 20)

    yield publish
    await relay.stop()


@pytest.fixture
def eraser(service_database, broker):
    return Eraser("consent", database=service_database, nats=broker.settings)


async def test_every_event_of_the_person_is_gone_and_overwritten_and_nobody_elses(
    service_database, broker, published, eraser, person
):
    other = granted()
    await published(granted(person), other, granted(person))
    blocks = list(broker.server.data_folder.glob("**/RAPPORT_CONSENT/**/*.blk"))
    assert sum(block.read_bytes().count(person.encode()) for block in blocks) == 4
    assert await eraser.erase([person]) == Erased(deleted=2, gone=0, kept=0, waiting=0)
    assert [message.data for message in await broker.stored(STREAM)] == [other.payload()]
    assert not any(person.encode() in path.read_bytes() for path in blocks if path.exists())
    assert await rows(service_database, "SELECT event_id FROM published") == [(other.id,)]
    assert (await eraser.erase([person])).deleted == 0


async def test_a_fence_stays(broker, published, eraser, person):
    fence = fence_raised(person)
    await published(fence, granted(person))
    await eraser.erase([person])
    assert [message.headers["ce-id"] for message in await broker.stored(STREAM)] == [fence.id]


async def test_events_not_published_yet_are_said_to_wait(service_database, eraser, broker, person):
    await append(service_database, granted(person))
    assert (await eraser.erase([person])).waiting == 1


async def test_an_event_that_is_published_while_it_is_looked_for_is_found_all_the_same(
    service_database, broker, eraser, person
):
    event = granted(person)
    await append(service_database, event)
    await broker.publish(event)
    async with service_database.transaction() as relay:
        await relay.execute("LOCK outbox IN ACCESS EXCLUSIVE MODE")
        erasing = asyncio.create_task(eraser.erase([person]))

        async def waits():
            return bool(await rows(service_database, "SELECT 1 FROM pg_locks WHERE NOT granted"))

        await eventually(waits, 20)
        await relay.execute("DELETE FROM outbox")
        await relay.execute(
            "INSERT INTO published (event_id, stream, sequence, profile_ids) VALUES (%s, %s, 1, %s)",
            (event.id, STREAM, [person]),
        )
    assert await erasing == Erased(deleted=1, gone=0, kept=0, waiting=0)
    assert await broker.count(STREAM) == 0


async def test_a_message_that_is_another_event_is_not_deleted_whatever_the_index_says(
    service_database, broker, published, eraser, person
):
    await published(granted(person), granted())
    await rows(service_database, "UPDATE published SET sequence = 2 WHERE sequence = 1 RETURNING 1")
    assert await eraser.erase([person]) == Erased(deleted=0, gone=0, kept=1, waiting=0)
    assert await broker.count(STREAM) == 2


async def test_a_kind_that_is_never_deleted_is_kept_even_if_it_were_indexed(
    service_database, broker, published, eraser, person
):
    await published(fence_raised(person))
    await rows(service_database, "UPDATE published SET profile_ids = %s RETURNING 1", [[person]])
    assert (await eraser.erase([person])).kept == 1
    assert await broker.count(STREAM) == 1


async def test_what_aged_out_is_forgotten(service_database, broker, published, eraser, person):
    await published(granted(person))
    async with broker.api() as api:
        await api.call(f"STREAM.PURGE.{STREAM}")
    assert await eraser.erase([person]) == Erased(deleted=0, gone=1, kept=0, waiting=0)
    assert await count(service_database, "published") == 0


async def test_of_events_that_are_named_the_others_about_the_person_stay(broker, published, eraser, person):
    withdrawn, merged = granted(person), profiles_merged(person)
    await published(withdrawn, merged._replace(source="consent", type="rapport.consent.v1.profiles_merged"))
    assert (await eraser.erase([person], only=["consent_granted"])) == Erased(deleted=1, gone=0, kept=1, waiting=0)
    assert [message.headers["ce-id"] for message in await broker.stored(STREAM)] == [merged.id]
    assert (await eraser.erase([person])).deleted == 1
