"""The process's connection: made in the background, for ever, ended without hanging."""

import asyncio

import pytest
from rapport_chassis.errors import RapportError
from rapport_chassis.events.nats import NatsConnection
from rapport_testing.waiting import eventually


@pytest.fixture
async def connection(broker):
    made = NatsConnection(broker.settings, user="consent")
    yield made
    await made.stop()


async def test_a_broker_that_is_not_there_yet_keeps_nobody_waiting(broker, connection):
    await asyncio.to_thread(broker.server.stop)
    async with asyncio.timeout(1):
        await connection.start()
    with pytest.raises(RapportError) as unhealthy:
        await connection.check()
    assert unhealthy.value.reason.name == "NOT_READY"
    with pytest.raises(RapportError) as away:
        await connection.request("$JS.API.INFO", timeout_s=0.05)
    assert away.value.reason.name == "BROKER_UNAVAILABLE"
    await asyncio.to_thread(broker.server.start)
    await eventually(lambda: connection.is_connected, 20)
    await connection.check()
    assert await connection.jetstream.stream_info("RAPPORT_CONSENT")


async def test_a_restart_of_the_broker_is_noticed_and_survived(broker, connection):
    await connection.start()
    await connection.client()
    await asyncio.to_thread(broker.server.kill)
    await eventually(lambda: not connection.is_connected)
    await asyncio.to_thread(broker.server.start)
    await eventually(lambda: connection.is_connected, 20)
    assert await connection.jetstream.stream_info("RAPPORT_CONSENT")


async def test_a_client_that_gave_up_is_replaced(connection):
    await connection.start()
    first = await connection.client()
    await first.close()  # as when the server turns it away

    async def is_replaced():
        return connection.is_connected and await connection.client() is not first

    await eventually(is_replaced, 20)
    assert await connection.jetstream.stream_info("RAPPORT_CONSENT")


@pytest.mark.parametrize("when", ["connecting", "connected", "away"])
async def test_it_ends_at_once_whatever_it_is_doing(broker, connection, when):
    await connection.start()
    if when != "connecting":
        await connection.client()
    if when == "away":
        await asyncio.to_thread(broker.server.kill)
    async with asyncio.timeout(5):
        await connection.stop()
    assert not connection.is_connected


async def test_a_stream_and_a_consumer_that_do_not_exist_are_told_apart(connection):
    await connection.start()
    reasons = []
    for stream in ("RAPPORT_CONSENT", "NONE"):
        with pytest.raises(RapportError) as missing:
            await connection.jetstream.consumer_info(stream, "consent-none")
        reasons.append(missing.value.reason.name)
    assert reasons == ["CONSUMER_MISSING", "STREAM_MISSING"]
