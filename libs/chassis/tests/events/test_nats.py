"""The process's connection: made in the background, for ever, ended without hanging."""

import asyncio
import contextlib
import socket
import struct

import pytest
from rapport_chassis.errors import RapportError
from rapport_chassis.events.nats import NatsConnection
from rapport_testing.waiting import eventually


@pytest.fixture
async def connection(broker):
    made = NatsConnection(broker.settings, user="consent")
    yield made
    await made.stop()


@contextlib.asynccontextmanager
async def in_front_of(broker, serve):
    """Give a connection to what serves in the broker's place."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"tls://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    made = NatsConnection(broker.settings.model_copy(update={"url": url}), user="consent")
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
        server.close()


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


async def test_a_broker_that_dies_within_the_handshake_is_tried_again(broker, monkeypatch):
    monkeypatch.setattr("rapport_chassis.events.nats._ATTEMPT_S", 0.5)
    tries = asyncio.Semaphore(0)

    async def die(reader, writer):
        writer.write(b'INFO {"server_id":"x","version":"2.11.0","tls_required":true,"max_payload":1048576}\r\n')
        await reader.read(1)  # the client has begun
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()
        tries.release()

    async with in_front_of(broker, die), asyncio.timeout(20):
        await tries.acquire()
        await tries.acquire()


async def test_a_client_that_comes_back_and_hears_nothing_is_replaced(broker, monkeypatch):
    monkeypatch.setattr("rapport_chassis.events.nats._ATTEMPT_S", 0.5)
    came_back = asyncio.Event()
    opened: list[asyncio.StreamWriter] = []
    pipes: set[asyncio.Task[None]] = set()

    async def pipe(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader, writer):
        if len(opened) == 2:  # the first has come back; whoever replaces it is let through
            opened.append(writer)
            came_back.set()
            return
        there = await asyncio.open_connection("127.0.0.1", broker.server.port)
        opened.extend([writer, there[1]])
        for ends in ((reader, there[1]), (there[0], writer)):
            pipes.add(asyncio.create_task(pipe(*ends)))

    async with in_front_of(broker, serve) as connection:
        async with asyncio.timeout(20):
            first = await connection.client()
            opened[0].close()
            await came_back.wait()

        async def is_replaced():
            return connection.is_connected and await connection.client() is not first

        await eventually(is_replaced, 20)
        assert await connection.jetstream.stream_info("RAPPORT_CONSENT")
    for each in opened:
        each.close()
    await asyncio.gather(*pipes)


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
