"""Dead letters are references: shown, replayed to the one consumer that failed, or discarded."""

import asyncio
import contextlib
import json

import pytest
from rapport.identity.v1 import events_pb2
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.dead_letters import DeadLetters
from rapport_chassis.events.nats import NatsConnection
from rapport_testing.events import count, profiles_merged
from rapport_testing.waiting import eventually

STREAM = "RAPPORT_IDENTITY"
NAME = "consent-profiles"


@pytest.fixture
async def letters(broker):
    async with broker.api() as api:
        yield DeadLetters(api, prefix="RAPPORT")


class Reading:
    """A handler that fails until it is told not to."""

    def __init__(self):
        self.fails = True
        self.events = []

    async def __call__(self, event, connection):
        self.events.append(event)
        if self.fails:
            raise CHASSIS_ERRORS.error("NOT_FOUND", "not yet")


@pytest.fixture
async def reading(broker, service_database, telemetry):
    """A consumer that gives up whatever it gets, until told otherwise."""
    handler = Reading()
    async with contextlib.AsyncExitStack() as stack:
        nats = NatsConnection(broker.settings, user="consent")
        await nats.start()
        stack.push_async_callback(nats.stop)
        consumer = Consumer(
            NAME,
            "identity",
            handler,
            context="consent",
            events=[events_pb2.ProfilesMerged, events_pb2.ProfileSplit],
            nats=nats,
            database=service_database,
            telemetry=telemetry,
            release="1.2.3",
            nak_delays_s=(0.05,),
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        yield handler


async def listed(letters, many):
    async def are_there():
        found = await letters.list()
        return found if len(found) == many else None

    return await eventually(are_there, 20) if many else await eventually_none(letters)


async def eventually_none(letters):
    async def are_gone():
        return await letters.list() == []

    await eventually(are_gone, 20)
    return []


async def test_what_the_broker_reports_of_an_event_given_up_is_not_listed_beside_it(broker, letters, reading):
    await broker.publish(profiles_merged())
    await listed(letters, 1)

    async def is_reported():
        return await broker.count("RAPPORT_DLQ") == 2

    await eventually(is_reported, 20)
    (letter,) = await letters.list()
    assert letter.reason == "NOT_FOUND"
    assert json.loads(json.dumps(letter.describe()))["consumer"] == NAME


async def test_a_replay_goes_to_the_consumer_that_failed_with_a_new_message_and_the_old_event_id(
    broker, letters, reading, service_database
):
    event = profiles_merged()
    await broker.publish(event)
    (letter,) = await listed(letters, 1)
    reading.fails = False
    message_id = await letters.replay(letter.number)
    await eventually(lambda: len(reading.events) == 2, 20)
    (replayed,) = await broker.stored("RAPPORT_RETRY")
    assert replayed.subject == f"rapport.retry.consent.{NAME}"
    assert (replayed.headers["Nats-Msg-Id"], replayed.headers["ce-id"]) == (message_id, event.id)
    assert message_id != event.id
    assert json.loads(replayed.data) == {"stream": STREAM, "sequence": 1}
    assert reading.events[1].parse(events_pb2.ProfilesMerged) == event.message
    assert (reading.events[1].id, reading.events[1].sequence) == (event.id, 1)
    await listed(letters, 0)
    assert await count(service_database, "inbox") == 1


async def test_a_replay_of_an_event_that_was_handled_meanwhile_has_no_effect(
    broker, letters, reading, service_database
):
    event = profiles_merged()
    await broker.publish(event)
    (letter,) = await listed(letters, 1)
    reading.fails = False
    await letters.replay(letter.number)
    await eventually(lambda: len(reading.events) == 2, 20)
    async with broker.api() as api:
        await api.publish(
            f"rapport.retry.consent.{NAME}",
            json.dumps({"stream": STREAM, "sequence": 1}).encode(),
            {"Nats-Msg-Id": "again", "ce-id": event.id},
        )

        async def is_settled():
            info = await api.consumer_info("RAPPORT_RETRY", NAME)
            return info["num_pending"] == info["num_ack_pending"] == 0 and info["delivered"]["stream_seq"] == 2

        await eventually(is_settled, 20)
    assert len(reading.events) == 2
    assert await count(service_database, "inbox") == 1


async def test_a_replay_that_fails_again_is_a_dead_letter_of_the_original(broker, letters, reading):
    await broker.publish(profiles_merged())
    (letter,) = await listed(letters, 1)
    await letters.replay(letter.number)

    async def is_new():
        found = await letters.list()
        return found if [each.number > letter.number for each in found] == [True] else None

    (again,) = await eventually(is_new, 20)
    assert (again.stream, again.sequence, again.reason) == (STREAM, 1, "NOT_FOUND")


async def test_an_event_that_was_erased_or_aged_out_is_said_to_be_gone(broker, letters, reading):
    await broker.publish(profiles_merged(), profiles_merged(), profiles_merged())
    first, second, _ = sorted(await listed(letters, 3), key=lambda letter: letter.sequence)
    async with broker.api() as api:
        await api.delete(STREAM, 2)
        with pytest.raises(RapportError) as erased:
            await letters.original(second)
        await api.call(f"STREAM.PURGE.{STREAM}", {"seq": 2})
        with pytest.raises(RapportError) as gone:
            await letters.replay(first.number)
    assert (erased.value.reason.name, gone.value.reason.name) == ("ORIGINAL_ERASED", "ORIGINAL_GONE")


async def test_a_consumer_that_is_sent_a_replay_of_an_erased_event_says_so(broker, letters, reading):
    event = profiles_merged()
    await broker.publish(profiles_merged(), event)
    first, second = await listed(letters, 2)
    async with broker.api() as api:
        await api.delete(STREAM, 2)
        await api.publish(
            f"rapport.retry.consent.{NAME}",
            json.dumps({"stream": STREAM, "sequence": 2}).encode(),
            {"Nats-Msg-Id": "late", "ce-id": event.id},
        )
    found = await listed(letters, 3)
    assert [each.reason for each in found] == [first.reason, second.reason, "ORIGINAL_ERASED"]
    assert len(reading.events) == 2


@pytest.mark.parametrize(
    ("reference", "event_id"),
    [
        ({"stream": "RAPPORT_CONSENT", "sequence": 1}, "evt_1"),
        ({"stream": STREAM, "sequence": 1}, "evt_another"),
        ({"stream": STREAM}, "evt_1"),
        ("canary", "evt_1"),
    ],
)
async def test_a_forged_replay_is_given_up_and_nothing_is_handled(broker, letters, reading, reference, event_id):
    reading.fails = False
    await broker.publish(profiles_merged())
    await eventually(lambda: reading.events, 20)
    async with broker.api() as api:
        await api.publish(
            f"rapport.retry.consent.{NAME}",
            json.dumps(reference).encode(),
            {"Nats-Msg-Id": "forged", "ce-id": event_id},
        )
    (letter,) = await listed(letters, 1)
    assert letter.reason == "EVENT_MALFORMED"
    assert len(reading.events) == 1


async def test_discarding_forgets_a_dead_letter_and_what_the_broker_said_of_it(broker, letters, reading):
    await broker.publish(profiles_merged(), profiles_merged())
    first, second = await listed(letters, 2)

    async def is_reported():
        return await broker.count("RAPPORT_DLQ") == 4

    await eventually(is_reported, 20)
    await letters.discard(first.number)
    assert [letter.number for letter in await letters.list()] == [second.number]
    assert await broker.count("RAPPORT_DLQ") == 2
    with pytest.raises(RapportError) as unknown:
        await letters.get(first.number)
    assert unknown.value.reason.name == "DEAD_LETTER_UNKNOWN"


async def test_an_event_delivered_too_often_to_a_consumer_that_dies_is_listed_and_can_be_replayed(
    broker, letters, service_database
):
    event = profiles_merged()
    await broker.publish(event)
    nats = NatsConnection(broker.settings, user="consent")
    await nats.start()
    client = await nats.client()
    async with broker.api() as api:
        config = (await api.consumer_info(STREAM, NAME))["config"]
        await api.call(
            f"CONSUMER.DURABLE.CREATE.{STREAM}.{NAME}",
            {"stream_name": STREAM, "config": {**config, "ack_wait": 10**8, "max_deliver": 2}},
        )
    subscription = await client.jetstream().pull_subscribe_bind(NAME, STREAM)
    for _ in range(2):  # taken and never answered for, as by a process that dies
        await subscription.fetch(1)
    waiting = asyncio.create_task(subscription.fetch(1, timeout=20))
    (letter,) = await listed(letters, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await subscription.unsubscribe()
    await nats.stop()
    assert (letter.reason, letter.consumer, letter.stream, letter.sequence) == ("MAX_DELIVERIES", NAME, STREAM, 1)
    await letters.replay(letter.number)
    (replayed,) = await broker.stored("RAPPORT_RETRY")
    assert (replayed.subject, replayed.headers["ce-id"]) == (f"rapport.retry.consent.{NAME}", event.id)
