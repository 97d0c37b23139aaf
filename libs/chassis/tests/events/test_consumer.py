"""The consumer: each event has its effect once, and none is given up without a word."""

import asyncio
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from rapport.identity.v1 import events_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.events import telemetry as names
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.pausing import pause, paused, resume
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.events import count, profiles_merged, rows
from rapport_testing.waiting import eventually

STREAM = "RAPPORT_IDENTITY"
NAME = "consent-profiles"
MIGRATIONS = Path(__file__).parents[1] / "migrations"
SECOND = 10**9


@pytest.fixture
def seen():
    """A handler that remembers what it was given, and fails as told."""
    state = SimpleNamespace(events=[], fail=None)

    async def handler(event, connection):
        state.events.append(event)
        if state.fail is not None:
            raise state.fail

    state.handler = handler
    return state


async def in_state(consumer, state, timeout_s=20):
    await eventually(lambda: consumer.state == state, timeout_s, message=f"consumer is {state}")


async def configured(broker, **changes):
    """Change the durable consumer at the broker, as provisioning would."""
    topology = dataclasses.replace(
        broker.topology,
        consumers=tuple(
            dataclasses.replace(each, config={**each.config, **changes})
            if each.name == NAME and each.stream == STREAM
            else each
            for each in broker.topology.consumers
        ),
    )
    await dataclasses.replace(broker, topology=topology).provision()


async def test_an_event_is_handled_in_one_transaction_with_its_note_and_confirmed(
    broker, service_database, take_in, seen
):
    event = profiles_merged()
    await broker.publish(event)
    await take_in(seen.handler)
    await broker.settled(STREAM, NAME)
    (received,) = seen.events
    assert (received.id, received.stream, received.sequence, received.delivered) == (event.id, STREAM, 1, 1)
    assert received.parse(events_pb2.ProfilesMerged) == event.message
    assert await rows(service_database, "SELECT consumer, event_id FROM inbox") == [(NAME, event.id)]


async def test_an_event_that_comes_twice_has_its_effect_once(broker, service_database, take_in, seen):
    event = profiles_merged()
    async with broker.api() as api:
        for identity in ("first", "second"):  # two messages for the broker
            await api.publish(event.subject, event.payload(), {**event.headers(), "Nats-Msg-Id": identity})
    await take_in(seen.handler)
    await broker.settled(STREAM, NAME)
    assert len(seen.events) == 1
    assert await count(service_database, "inbox") == 1


async def test_an_event_that_means_nothing_to_the_handler_is_done_with_and_leaves_no_note(
    broker, service_database, take_in, seen
):
    one, other = profiles_merged(), profiles_merged()
    await broker.publish(one)
    await broker.publish(other)
    await take_in(seen.handler, concerns=lambda received: received.id == other.id)
    await broker.settled(STREAM, NAME)
    assert [received.id for received in seen.events] == [other.id]
    assert await rows(service_database, "SELECT event_id FROM inbox") == [(other.id,)]


async def test_a_failed_handling_leaves_nothing_and_is_tried_again_later(broker, service_database, take_in):
    attempts: list[object] = []

    async def handler(event, connection):
        await connection.execute("INSERT INTO inbox VALUES ('effect', %s)", [str(len(attempts))])
        attempts.append(event.delivered)
        if len(attempts) < 3:
            raise CHASSIS_ERRORS.error("OVERLOADED", "later")

    await broker.publish(profiles_merged())
    await take_in(handler)
    await broker.settled(STREAM, NAME)
    assert attempts == [1, 2, 3]
    assert await rows(service_database, "SELECT event_id FROM inbox WHERE consumer = 'effect'") == [("2",)]


async def test_no_more_are_handled_at_once_than_allowed(broker, take_in):
    running, most = 0, 0
    gate = asyncio.Event()

    async def handler(event, connection):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            gate.set()
        await gate.wait()
        running -= 1

    await broker.publish(*(profiles_merged() for _ in range(12)))
    await take_in(handler, max_tasks=3)
    await broker.settled(STREAM, NAME)
    assert most == 3


async def test_a_handling_longer_than_the_broker_waits_is_not_delivered_again(broker, take_in):
    await configured(broker, ack_wait=SECOND)
    release, deliveries = asyncio.Event(), []

    async def handler(event, connection):
        deliveries.append(event.delivered)
        await release.wait()

    await broker.publish(profiles_merged())
    await take_in(handler)
    await eventually(lambda: deliveries)

    async def was_asked_to_wait():
        async with broker.api() as api:
            info = await api.consumer_info(STREAM, NAME)
        # Without a sign of progress the second delivery would have come after one second.
        return info["num_ack_pending"] == 1 and asyncio.get_running_loop().time() - began > 3

    began = asyncio.get_running_loop().time()
    await eventually(was_asked_to_wait)
    release.set()
    await broker.settled(STREAM, NAME)
    assert deliveries == [1]


async def test_a_permanent_fault_becomes_a_dead_letter_at_once(broker, service_database, take_in, seen):
    event = profiles_merged()
    await broker.publish(event)
    seen.fail = CHASSIS_ERRORS.error("NOT_FOUND", "gone for ever")
    await take_in(seen.handler)
    await broker.settled(STREAM, NAME)
    (letter,) = await broker.dead_letters()
    assert (letter.context, letter.consumer, letter.stream, letter.sequence) == ("consent", NAME, STREAM, 1)
    assert (letter.reason, letter.release, letter.deliveries) == ("NOT_FOUND", "1.2.3", 1)
    assert letter.headers["ce-id"] == event.id
    assert len(seen.events) == 1
    assert await count(service_database, "inbox") == 0


async def test_the_last_attempt_ends_in_a_dead_letter(broker, take_in, seen):
    await configured(broker, max_deliver=3)
    await broker.publish(profiles_merged())
    seen.fail = LookupError("a text that may name somebody")
    await take_in(seen.handler)
    await broker.settled(STREAM, NAME)
    (letter,) = await broker.dead_letters()
    assert (letter.reason, letter.deliveries) == ("LookupError", 3)
    assert len(seen.events) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": b"\xff\xffcanary"}, "EVENT_MALFORMED"),
        ({"data": events_pb2.ProfilesMerged(survivor_id="canary").SerializeToString()}, "EVENT_INVALID"),
        ({"ce-source": "rapport/canary"}, "EVENT_MALFORMED"),
        ({"ce-id": "canary canary"}, "EVENT_MALFORMED"),
        ({"ce-type": "canary canary"}, "EVENT_MALFORMED"),
    ],
)
async def test_a_hostile_message_leaves_no_trace_of_its_content(broker, take_in, seen, capfd, change, reason):
    event = profiles_merged()
    headers = {**event.headers(), "x-canary": "canary", **{key: str(change[key]) for key in change if key != "data"}}
    async with broker.api() as api:
        await api.publish(event.subject, change.get("data", event.payload()), headers)
    await take_in(seen.handler)
    await broker.settled(STREAM, NAME)
    (letter,) = await broker.dead_letters()
    assert letter.reason == reason
    assert seen.events == []
    stored = await broker.stored("RAPPORT_DLQ")
    kept = b"".join(json.dumps(dict(each.headers)).encode() + each.data for each in stored)
    output = capfd.readouterr()
    assert b"canary canary" not in kept
    assert b"x-canary" not in kept
    assert b"\xff" not in kept
    assert "canary" not in output.out + output.err


async def test_too_many_failures_in_a_row_pause_the_consumer_until_it_is_resumed(
    broker, service_database, take_in, seen
):
    seen.fail = LookupError()
    await broker.publish(*(profiles_merged() for _ in range(30)))
    telemetry = Telemetry.off()
    consumer = await take_in(seen.handler, max_failures=5, max_tasks=2, telemetry=telemetry)
    await in_state(consumer, "CONSUMER_PAUSED")
    with pytest.raises(RapportError) as unhealthy:
        await consumer.check()
    assert unhealthy.value.reason.name == "CONSUMER_PAUSED"

    async def is_noted():
        async with service_database.transaction() as connection:
            return await paused(connection, NAME)

    note = await eventually(is_noted)
    assert (note.reason, note.failures >= 5) == ("LookupError", True)
    handled = len(seen.events)
    assert handled < 15, "it went on after the pause"
    assert telemetry.meter.gauge(names.CONSUMER_PAUSED).of(NAME).value == 1
    seen.fail = None
    async with service_database.transaction() as connection:
        assert await resume(connection, NAME)
    await broker.settled(STREAM, NAME)
    await consumer.check()
    assert len({event.id for event in seen.events}) == 30


async def test_a_pause_noted_elsewhere_is_followed_and_survives_a_restart(broker, service_database, take_in, seen):
    first = await take_in(seen.handler)
    await in_state(first, "running")
    async with service_database.transaction() as connection:
        await pause(connection, NAME, reason="BY_HAND")
    await in_state(first, "CONSUMER_PAUSED")
    await first.stop()
    await broker.publish(profiles_merged())
    second = await take_in(seen.handler)
    await in_state(second, "CONSUMER_PAUSED")
    assert seen.events == []


async def test_a_stream_that_does_not_exist_yet_is_waited_for_and_is_no_fault(
    bare_broker, service_database, telemetry, seen
):
    nats = NatsConnection(bare_broker.settings, user="consent")
    await nats.start()
    consumer = Consumer(
        NAME,
        "identity",
        seen.handler,
        context="consent",
        events=[events_pb2.ProfilesMerged, events_pb2.ProfileSplit],
        nats=nats,
        database=service_database,
        telemetry=telemetry,
        release="1",
    )
    await consumer.start()
    try:
        await in_state(consumer, "STREAM_MISSING")
        await consumer.check()
        assert {sample.name.name: sample.series.value for sample in telemetry.meter.samples() if sample.attributes}[
            "rapport.consumer.waiting"
        ] == 1
        await bare_broker.provision()
        await bare_broker.publish(profiles_merged())
        await eventually(lambda: seen.events, 20)
    finally:
        await consumer.stop()
        await nats.stop()


async def test_a_durable_that_delivers_something_else_is_refused_by_name_and_not_changed(broker, take_in, seen):
    await configured(broker, filter_subjects=["rapport.identity.v1.profile_created.*"])
    consumer = await take_in(seen.handler)
    await in_state(consumer, "CONSUMER_DRIFTED")
    with pytest.raises(RapportError) as unhealthy:
        await consumer.check()
    assert unhealthy.value.reason.name == "CONSUMER_DRIFTED"
    async with broker.api() as api:
        config = (await api.consumer_info(STREAM, NAME))["config"]
    assert config["filter_subjects"] == ["rapport.identity.v1.profile_created.*"]
    await broker.provision()
    await in_state(consumer, "running")


async def test_a_restart_of_the_broker_is_survived(broker, take_in, seen):
    consumer = await take_in(seen.handler)
    await in_state(consumer, "running")
    await asyncio.to_thread(broker.server.kill)
    await asyncio.to_thread(broker.server.start)
    await broker.publish(profiles_merged())
    await eventually(lambda: seen.events, 30)
    await broker.settled(STREAM, NAME)


async def test_an_outage_of_the_database_costs_no_event_one_of_its_attempts(broker, take_in, killable):
    server, _, database = killable
    await configured(broker, max_deliver=2)

    async def handler(event, connection):
        await connection.execute("INSERT INTO effects VALUES (%s, 0)", [event.id])

    consumer = await take_in(handler, database=database)
    await in_state(consumer, "running")
    await asyncio.to_thread(server.kill)
    await broker.publish(*(profiles_merged() for _ in range(20)))
    await in_state(consumer, "NOT_READY")
    with pytest.raises(RapportError) as unhealthy:
        await consumer.check()
    assert unhealthy.value.reason.name == "NOT_READY"
    await asyncio.to_thread(server.start)
    await broker.settled(STREAM, NAME)
    assert await count(database, "effects") == 20
    assert await broker.dead_letters() == []


async def test_a_pause_too_short_to_interrupt_it_leaves_it_running(broker, take_in, seen, service_database):
    class Hurried(SystemClock):
        async def sleep(self, seconds):
            await super().sleep(seconds / 100)

    consumer = await take_in(seen.handler, clock=Hurried())
    await in_state(consumer, "running")
    async with service_database.transaction() as connection:
        await pause(connection, NAME, reason="INTERNAL", failures=1)
    await in_state(consumer, "CONSUMER_PAUSED")
    async with service_database.transaction() as connection:
        await resume(connection, NAME)
    await in_state(consumer, "running")
    await consumer.check()


async def test_a_consumer_waits_for_the_first_migration(broker, take_in, seen, empty_database_settings):
    database = Database(empty_database_settings, service="consent")
    await database.open()
    consumer = await take_in(seen.handler, database=database)
    await in_state(consumer, "NOT_READY")
    await broker.publish(profiles_merged())
    await asyncio.to_thread(upgrade, empty_database_settings, MIGRATIONS)
    await broker.settled(STREAM, NAME)
    assert len(seen.events) == 1
    await consumer.stop()
    await database.close()


async def test_shutdown_finishes_what_was_begun_and_gives_back_the_rest(broker, take_in):
    began, release, done = asyncio.Event(), asyncio.Event(), []

    async def handler(event, _):
        began.set()
        await release.wait()
        done.append(event.id)

    await broker.publish(*(profiles_merged() for _ in range(5)))
    consumer = await take_in(handler, max_tasks=1)
    await began.wait()
    stopping = asyncio.create_task(consumer.stop())
    await eventually(lambda: consumer._readers[0].done())
    release.set()
    await stopping
    assert len(done) == 1
    # Given back, not left to the broker's patience of half a minute.
    await take_in(handler)
    await eventually(lambda: len(done) == 5, 15)
    await broker.settled(STREAM, NAME)


async def test_a_span_of_the_handling_links_to_the_writer_and_is_not_its_child(
    broker, take_in, seen, telemetry_capture
):
    event = profiles_merged()
    writer = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    async with broker.api() as api:
        await api.publish(event.subject, event.payload(), event.headers(writer))
    await take_in(seen.handler, telemetry=telemetry_capture.telemetry)
    await broker.settled(STREAM, NAME)
    (span,) = telemetry_capture.spans("process RAPPORT_IDENTITY profiles_merged")
    assert [f"{link.context.trace_id:032x}" for link in span.links] == ["a" * 32]
    assert f"{span.context.trace_id:032x}" != "a" * 32
    assert span.attributes["messaging.message.id"] == event.id
