"""The relay: everything goes out once, negatives first, through every outage, by one of several."""

import asyncio
import contextlib
import dataclasses

import pytest
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.events.envelope import MAX_PAYLOAD_BYTES, Received
from rapport_chassis.events.relay import Relay
from rapport_testing.events import append, count, granted, rows
from rapport_testing.waiting import eventually

STREAM = "RAPPORT_CONSENT"
ADVISORY_LOCKS = """
FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND datname = current_database()
"""


@pytest.fixture
async def make_relay(service_database, broker, telemetry):
    """Starts relays, and stops them in the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(database=service_database, nats=broker.settings, **options):
            relay = Relay("consent", database=database, nats=nats, telemetry=telemetry, **options)
            await relay.start()
            stack.push_async_callback(relay.stop)
            return relay

        yield make


async def in_state(relay, *states, timeout_s=20):
    await eventually(lambda: relay.state in states, timeout_s, message=f"relay in {states}")


async def emptied(database, timeout_s=20):
    async def is_empty():
        return await count(database, "outbox") == 0

    await eventually(is_empty, timeout_s, message="the outbox is empty")


def ids(stored):
    return [each.headers["ce-id"] for each in stored]


async def test_events_are_published_as_written_and_indexed_where_they_went(service_database, broker, make_relay):
    events = [granted(position=number + 1) for number in range(5)]
    await append(service_database, *events)
    await make_relay()
    await emptied(service_database)
    stored = await broker.stored(STREAM)
    assert [each.data for each in stored] == [event.payload() for event in events]
    first = Received.of(stored[0].subject, stored[0].headers, stored[0].data, stream=STREAM, sequence=1)
    assert (first.id, first.type) == (events[0].id, events[0].type)
    assert await rows(service_database, "SELECT event_id, stream, sequence, profile_ids FROM published ORDER BY 3") == [
        (event.id, STREAM, place, list(event.profile_ids)) for place, event in enumerate(events, 1)
    ]
    assert await rows(service_database, "SELECT * FROM relay_progress") == [(STREAM, 5)]


async def test_a_hint_wakes_the_relay_without_waiting_for_the_next_look(service_database, make_relay):
    relay = await make_relay()
    await in_state(relay, "publishing")
    began = asyncio.get_running_loop().time()
    for _ in range(5):
        await append(service_database, granted())
        await emptied(service_database)
    assert asyncio.get_running_loop().time() - began < 4, "five looks a second apart would take longer"


async def test_negatives_overtake_for_half_of_each_batch(service_database, broker, make_relay):
    grants = [granted() for _ in range(20)]
    negatives = [granted(urgent=True) for _ in range(8)]
    await append(service_database, *grants, *negatives)
    await make_relay(batch=8)
    await emptied(service_database)
    expected = [*negatives[:4], *grants[:4], *negatives[4:], *grants[4:]]
    assert ids(await broker.stored(STREAM)) == [event.id for event in expected]


async def test_a_row_above_the_limit_is_left_and_holds_nothing_up(service_database, broker, make_relay):
    await append(service_database, granted(), granted())
    await rows(
        service_database,
        "UPDATE outbox SET payload = %s WHERE seq = (SELECT min(seq) FROM outbox) RETURNING 1",
        [b"x" * (MAX_PAYLOAD_BYTES + 1)],
    )
    await make_relay()

    async def is_alone():
        return await count(service_database, "outbox") == 1

    await eventually(is_alone)
    assert await broker.count(STREAM) == 1


async def test_large_events_go_out_in_batches_that_fit(service_database, broker, make_relay):
    events = [granted() for _ in range(12)]
    for event in events:
        event.message.purpose_id = "x" * (MAX_PAYLOAD_BYTES - 500)  # type: ignore[attr-defined]
    await append(service_database, *events)
    await make_relay()
    await emptied(service_database)
    assert await broker.count(STREAM) == 12


async def test_a_full_stream_fails_loudly_and_is_tried_again(service_database, broker, make_relay):
    async def cap(max_bytes):
        declared = next(each for each in broker.topology.streams if each.name == STREAM)
        async with broker.api() as api:
            await api.call(f"STREAM.UPDATE.{STREAM}", {**declared.config, "max_bytes": max_bytes})

    await cap(2000)
    await append(service_database, *(granted() for _ in range(10)))
    relay = await make_relay()
    await in_state(relay, "refused_by_stream")
    with pytest.raises(RapportError) as unhealthy:
        await relay.check()
    assert unhealthy.value.reason.name == "STREAM_REFUSES"
    assert "maximum bytes" in relay.detail
    left = await count(service_database, "outbox")
    assert 0 < left < 10
    await cap(2**28)
    await emptied(service_database)
    await relay.check()
    assert await broker.count(STREAM) == 10


async def test_events_written_while_the_broker_is_down_go_out_once_it_is_back(service_database, broker, make_relay):
    relay = await make_relay()
    await in_state(relay, "publishing")
    await asyncio.to_thread(broker.server.kill)
    await append(service_database, granted())
    await in_state(relay, "waiting_for_broker")
    with pytest.raises(RapportError) as unhealthy:
        await relay.check()
    assert unhealthy.value.reason.name == "BROKER_UNAVAILABLE"
    assert await count(service_database, "outbox") == 1
    await asyncio.to_thread(broker.server.start)
    await emptied(service_database)
    assert await broker.count(STREAM) == 1


async def test_a_broker_that_does_not_answer_is_no_confirmation(service_database, broker, make_relay):
    relay = await make_relay()
    await in_state(relay, "publishing")
    await asyncio.to_thread(broker.server.suspend)
    await append(service_database, *(granted() for _ in range(3)))
    await in_state(relay, "waiting_for_broker")
    await asyncio.to_thread(broker.server.resume)
    await emptied(service_database)
    assert await broker.count(STREAM) == 3, "what the broker had taken without an answer is not published again"


async def test_a_stream_that_does_not_exist_yet_is_waited_for(service_database, bare_broker, telemetry):
    relay = Relay("consent", database=service_database, nats=bare_broker.settings, telemetry=telemetry)
    await relay.start()
    try:
        await append(service_database, granted())
        await in_state(relay, "waiting_for_stream")
        await bare_broker.provision()
        await emptied(service_database)
    finally:
        await relay.stop()


async def test_what_is_in_the_stream_beyond_the_index_is_indexed_and_not_published_again(
    service_database, broker, make_relay
):
    waiting, restored, new = granted(), granted(), granted()
    await broker.publish(waiting, restored)  # by a relay that died before it noted either
    await append(service_database, waiting, new)  # the row of the other is lost, as after a restore
    await make_relay()
    await emptied(service_database)
    assert ids(await broker.stored(STREAM)) == [waiting.id, restored.id, new.id]
    assert await rows(service_database, "SELECT event_id, sequence, profile_ids FROM published ORDER BY 2") == [
        (event.id, place, list(event.profile_ids)) for place, event in enumerate([waiting, restored, new], 1)
    ]


async def test_a_message_from_elsewhere_is_noticed_and_nothing_is_lost_or_doubled(service_database, broker, make_relay):
    relay = await make_relay()
    await in_state(relay, "publishing")
    other = granted()
    await broker.publish(other)
    event = granted()
    await append(service_database, event)
    await emptied(service_database)
    assert ids(await broker.stored(STREAM)) == [other.id, event.id]


async def test_a_relay_that_lost_its_lock_without_noticing_is_refused_by_the_stream(
    service_database, broker, make_relay
):
    old = await make_relay()
    await append(service_database, granted())
    await emptied(service_database)
    await broker.publish(granted())  # by the new relay
    answers = await broker_answers(broker, granted(), after=1)
    assert b'"err_code":10071' in answers
    assert await broker.count(STREAM) == 2
    assert old.state == "publishing"


async def broker_answers(broker, event, *, after):
    async with broker.api() as api:
        return await api._requester.request(
            event.subject,
            event.payload(),
            headers={**event.headers(), "Nats-Expected-Last-Sequence": str(after), "Nats-Expected-Stream": STREAM},
        )


async def test_one_of_several_publishes_and_a_standby_takes_over(
    service_database, database_settings, broker, make_relay
):
    first = await make_relay()
    await in_state(first, "publishing")
    other = Database(database_settings, service="standby")
    await other.open()
    second = await make_relay(database=other)
    try:
        await in_state(second, "standby")
        await second.check()
        await first.stop()
        await append(service_database, granted())
        await emptied(service_database)
        assert second.state == "publishing"
        await second.stop()
    finally:
        await other.close()


async def test_losing_the_connection_that_holds_the_lock_ends_publishing_until_it_is_held_again(
    service_database, broker, make_relay
):
    relay = await make_relay()
    await in_state(relay, "publishing")
    ((holder,),) = await rows(service_database, f"SELECT pid {ADVISORY_LOCKS} AND granted")
    async with service_database.direct() as rival:
        # A rival waits for the lock and has it the moment the holder's connection ends.
        waiting = asyncio.create_task(rival.execute("SELECT pg_advisory_lock(hashtext('rapport'), hashtext('relay'))"))

        async def is_waiting():
            return await rows(service_database, f"SELECT pid {ADVISORY_LOCKS} AND NOT granted")

        await eventually(is_waiting)
        await rows(service_database, "SELECT pg_terminate_backend(%s)", [holder])
        await waiting
        await in_state(relay, "standby")
        await append(service_database, granted())
        assert await count(service_database, "outbox") == 1
    await emptied(service_database)
    assert await broker.count(STREAM) == 1


async def test_rows_that_are_being_marked_are_not_taken_again(service_database, broker, make_relay):
    await append(service_database, *(granted() for _ in range(300)))
    await make_relay(batch=10)
    await emptied(service_database)
    stored = ids(await broker.stored(STREAM))
    assert len(stored) == len(set(stored)) == 300


async def test_a_stream_that_was_made_anew_is_written_from_its_beginning(service_database, broker, make_relay):
    relay = await make_relay()
    await append(service_database, granted())
    await emptied(service_database)
    async with broker.api() as api:
        await api.call(f"STREAM.DELETE.{STREAM}")
    await broker.provision()
    await append(service_database, granted())
    await emptied(service_database)
    await in_state(relay, "publishing")
    assert await broker.count(STREAM) == 1


async def test_the_index_forgets_what_the_stream_no_longer_keeps(service_database, make_relay):
    await append(service_database, granted())
    relay = await make_relay()
    await emptied(service_database)
    await rows(service_database, "UPDATE published SET published_at = now() - interval '91 days' RETURNING 1")
    await relay.stop()
    await make_relay()

    async def is_swept():
        return await count(service_database, "published") == 0

    await eventually(is_swept)


async def test_another_prefix_names_another_stream(service_database, bare_broker, telemetry):
    nats = bare_broker.settings.model_copy(update={"stream_prefix": "ACME"})
    async with bare_broker.api() as api:
        await api.call("STREAM.CREATE.ACME_CONSENT", {"name": "ACME_CONSENT", "subjects": ["rapport.consent.v1.>"]})
    relay = Relay("consent", database=service_database, nats=nats, telemetry=telemetry)
    await relay.start()
    try:
        await append(service_database, granted())
        await emptied(service_database)
    finally:
        await relay.stop()
    assert dataclasses.asdict((await bare_broker.stored("ACME_CONSENT"))[0])["sequence"] == 1
