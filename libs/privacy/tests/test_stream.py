"""Changes reach a replica as they are published, and the listening survives whatever happens to broker and consumer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from rapport.consent.v1 import events_pb2, ledger_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.events.envelope import event_of
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.topology import Topology
from rapport_chassis.ids import new_id
from rapport_chassis.settings import NatsSettings
from rapport_privacy.stream import LedgerStream
from rapport_testing.events import OCCURRED_AT, Broker, granted
from rapport_testing.nats import NatsServer
from rapport_testing.waiting import eventually

STREAM = "RAPPORT_CONSENT"
CONFIG = {"name": STREAM, "subjects": ["rapport.consent.>"], "storage": "file", "duplicate_window": 10**9}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker with the stream."""
    server = NatsServer(tmp_path / "nats")
    await asyncio.to_thread(server.start)
    broker = Broker(server, NatsSettings(url=server.url), Topology((), (), ()))
    async with broker.api() as api:
        await api.call(f"STREAM.CREATE.{STREAM}", CONFIG)
    yield broker
    await asyncio.to_thread(server.stop)


class LossyConnection(NatsConnection):
    """A connection on which one message is lost on its way to this process."""

    def __init__(self, settings: NatsSettings, lost: int) -> None:
        super().__init__(settings, user="test")
        self._lost = lost

    async def client(self) -> Client:
        client = await super().client()
        if "subscribe" not in vars(client):
            client.subscribe = partial(self._losing, client.subscribe)  # type: ignore[method-assign]
        return client

    async def _losing(self, subscribe: Callable[..., Awaitable[Subscription]], subject: str, **given: Any) -> Any:
        async def take(message: Msg) -> None:
            is_event = message.subject.startswith("rapport.")
            if not is_event or events_pb2.PositionedEvent.FromString(message.data).change.position != self._lost:
                await given["cb"](message)

        return await subscribe(subject, **{**given, "cb": take})


class Listener:
    """A stream under test, and the positions it has offered."""

    def __init__(self, broker: Broker, *, lost: int = 0) -> None:
        self.connection = (
            LossyConnection(broker.settings, lost) if lost else NatsConnection(broker.settings, user="test")
        )
        self.stream = LedgerStream(self.connection, self._offer, SystemClock())
        self.positions: list[int] = []

    def _offer(self, change: ledger_pb2.LedgerChange) -> None:
        self.positions.append(change.position)


@pytest.fixture
async def listener(broker: Broker) -> AsyncIterator[Listener]:
    """One that listens already."""
    made = Listener(broker)
    await made.connection.start()
    await made.stream.start()
    await asyncio.wait_for(made.stream.until_listening(), 20)
    yield made
    await made.stream.stop()
    await made.connection.stop()


async def consumers(broker: Broker) -> list[dict[str, Any]]:
    async with broker.api() as api:
        return list((await api.call(f"CONSUMER.LIST.{STREAM}"))["consumers"])


async def is_heard(broker: Broker, listener: Listener, position: int) -> None:
    """What is published before a new consumer exists is missed, as it may be: so it is published until it is heard."""

    async def heard() -> bool:
        await broker.publish(granted(position=position))
        return position in listener.positions

    await eventually(heard, timeout_s=20, interval_s=0.1)


async def test_each_change_is_offered_as_it_is_published(broker: Broker, listener: Listener) -> None:
    await broker.publish(*(granted(position=position) for position in range(1, 201)))
    await eventually(lambda: len(listener.positions) == 200)
    assert listener.positions == list(range(1, 201))


async def test_only_what_is_published_from_now_on_is_offered(broker: Broker) -> None:
    await broker.publish(granted(position=1))
    late = Listener(broker)
    await late.connection.start()
    await late.stream.start()
    await asyncio.wait_for(late.stream.until_listening(), 20)
    await broker.publish(granted(position=2))
    await eventually(lambda: late.positions)
    assert late.positions == [2]
    await late.stream.stop()
    await late.connection.stop()


async def test_events_without_a_position_and_bytes_that_are_no_event_are_passed_over(
    broker: Broker, listener: Listener
) -> None:
    closed = events_pb2.PrivacyRequestClosed(request_id=new_id("privacy_request"), outcome="COMPLETED")
    await broker.publish(event_of(closed, source="consent", occurred_at=OCCURRED_AT))
    async with broker.api() as api:
        await api.publish("rapport.consent.v1.consent_granted.00", b"\xff\xff\xff", {})
    await broker.publish(granted(position=7))
    await eventually(lambda: listener.positions)
    assert listener.positions == [7]


async def test_a_kind_of_event_that_did_not_exist_yet_is_offered_too(broker: Broker, listener: Listener) -> None:
    async with broker.api() as api:
        await api.publish("rapport.consent.v1.consent_inherited.00", granted(position=3).payload(), {})
    await eventually(lambda: listener.positions == [3])


async def test_a_killed_broker_is_found_again(broker: Broker, listener: Listener) -> None:
    await asyncio.to_thread(broker.server.kill)
    await eventually(lambda: not listener.stream.is_listening, timeout_s=20)
    await asyncio.to_thread(broker.server.start)
    await is_heard(broker, listener, 5)


async def test_a_broker_without_the_stream_is_asked_until_it_has_it(broker: Broker, listener: Listener) -> None:
    async with broker.api() as api:
        await api.call(f"STREAM.DELETE.{STREAM}")
    await eventually(lambda: not listener.stream.is_listening, timeout_s=20)
    async with broker.api() as api:
        await api.call(f"STREAM.CREATE.{STREAM}", CONFIG)
    await is_heard(broker, listener, 6)


async def test_a_consumer_that_was_removed_is_made_anew(broker: Broker, listener: Listener) -> None:
    (before,) = await consumers(broker)
    async with broker.api() as api:
        await api.call(f"CONSUMER.DELETE.{STREAM}.{before['name']}")
    await is_heard(broker, listener, 8)


async def test_a_consumer_that_skipped_a_message_is_replaced(broker: Broker) -> None:
    lossy = Listener(broker, lost=4)
    await lossy.connection.start()
    await lossy.stream.start()
    await asyncio.wait_for(lossy.stream.until_listening(), 20)
    (before,) = await consumers(broker)
    await broker.publish(*(granted(position=position) for position in range(1, 6)))
    await eventually(lambda: lossy.positions[:4] == [1, 2, 3, 5])

    async def replaced() -> bool:
        return bool({each["name"] for each in await consumers(broker)} - {before["name"]})

    await eventually(replaced, timeout_s=20)
    await is_heard(broker, lossy, 10)
    await lossy.stream.stop()
    await lossy.connection.stop()


async def test_the_broker_keeps_no_consumer_of_a_process_that_stopped(broker: Broker, listener: Listener) -> None:
    await listener.stream.stop()
    await listener.connection.stop()

    async def gone() -> bool:
        return not await consumers(broker)

    await eventually(gone, timeout_s=30, interval_s=0.2)
