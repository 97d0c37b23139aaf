"""The outbox: written with the state, hinted at once, nothing too large in it."""

import asyncio

import psycopg
import pytest
from rapport_chassis.errors import RapportError
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import MAX_PAYLOAD_BYTES
from rapport_chassis.telemetry.names import SpanName
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.events import append, count, granted, rows


@pytest.mark.parametrize("many", [1, 3, 200])
async def test_events_are_kept_whole_and_in_order_however_many_they_are(service_database, many):
    events = [granted(urgent=number % 2 == 0) for number in range(many)]
    await append(service_database, *events)
    found = await rows(
        service_database,
        "SELECT event_id, subject, type, payload, headers, profile_ids, urgent FROM outbox ORDER BY seq",
    )
    assert found == [
        (each.id, each.subject, each.type, each.payload(), each.own_headers(), list(each.profile_ids), each.urgent)
        for each in events
    ]


async def test_events_of_a_transaction_that_rolls_back_are_gone(service_database):
    async def write_and_fail() -> None:
        async with service_database.transaction() as connection:
            await outbox.append(connection, [granted()])
            raise LookupError

    with pytest.raises(LookupError):
        await write_and_fail()
    assert await count(service_database, "outbox") == 0


async def test_the_trace_they_are_written_in_goes_with_them(service_database):
    with Telemetry.off().tracer.span(SpanName("write", "a test")) as span:
        await append(service_database, granted())
    ((headers,),) = await rows(service_database, "SELECT headers FROM outbox")
    assert headers["traceparent"].split("-")[1] == f"{span.context.trace_id:032x}"


@pytest.mark.parametrize("many", [1, 200])
async def test_whoever_listens_gets_one_hint_for_a_transaction_once_it_commits(service_database, many):
    async with service_database.direct() as listener:
        await listener.execute(f"LISTEN {outbox.CHANNEL}")
        async with service_database.transaction() as connection:
            await outbox.append(connection, [granted() for _ in range(many)])
            await outbox.append(connection, [granted()])
        hints = [hint async for hint in listener.notifies(timeout=5, stop_after=1)]
        hints += [hint async for hint in listener.notifies(timeout=0.05)]
    assert len(hints) == 1


async def test_an_event_too_large_is_refused_and_nothing_of_the_call_is_written(service_database):
    large = granted()
    large.message.purpose_id = "x" * MAX_PAYLOAD_BYTES  # type: ignore[attr-defined]
    async with service_database.transaction() as connection:
        with pytest.raises(RapportError) as refused:
            await outbox.append(connection, [granted(), large])
    assert refused.value.reason.name == "EVENT_TOO_LARGE"
    assert await count(service_database, "outbox") == 0


async def test_writing_an_event_twice_is_an_error_of_the_writer(service_database):
    event = granted()
    with pytest.raises(psycopg.errors.UniqueViolation):
        await append(service_database, event, event)


async def test_the_age_of_the_oldest_event_is_that_of_the_first_one_not_published(service_database):
    async with service_database.transaction() as connection:
        assert await outbox.oldest_unpublished_s(connection) == 0
    await append(service_database, granted())
    await rows(service_database, "UPDATE outbox SET created_at = now() - interval '3 seconds' RETURNING 1")
    await append(service_database, granted())
    async with service_database.transaction() as connection:
        assert await outbox.oldest_unpublished_s(connection) >= 3


async def test_writers_at_the_same_time_do_not_wait_for_one_another(service_database):
    async with service_database.transaction() as first:
        await outbox.append(first, [granted()])
        async with asyncio.timeout(5), service_database.transaction() as second:
            await outbox.append(second, [granted()])
    assert await count(service_database, "outbox") == 2
