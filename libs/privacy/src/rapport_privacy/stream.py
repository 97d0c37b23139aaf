"""The consent stream, as it is published: how a change reaches a replica within milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any, Final, Literal

import nats.errors
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg
from rapport.consent.v1 import events_pb2, ledger_pb2
from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.events.jetstream import JetStreamError
from rapport_chassis.events.names import stream_name
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.telemetry.logs import get_logger

_HEARTBEAT_S: Final = 0.5
_SILENCE_S: Final = 3 * _HEARTBEAT_S
_ABANDONED_S: Final = 10.0
_RETRY_S: Final = 1.0
_NANOSECONDS: Final = 1_000_000_000

_NOT_POSITIONED: Final = ".privacy_"
_STALLED: Final = "Nats-Consumer-Stalled"


class LedgerStream(Background):
    """The component that offers each published change to a follower.

    It listens through an ephemeral ordered consumer, from now on, and makes another one whenever that falls silent or
    skips a message. What is missed meanwhile, or never published, is for the follower to fill: nothing is asked for
    twice here, and nothing that goes wrong here makes a decision wrong.
    """

    name = "ledger-stream"
    role: Literal["all"] = "all"

    def __init__(
        self, connection: NatsConnection, offer: Callable[[ledger_pb2.LedgerChange], object], clock: Clock
    ) -> None:
        self._connection = connection
        self._stream = stream_name(connection.settings.stream_prefix, "consent")
        self._offer = offer
        self._clock = clock
        self._listening = asyncio.Event()
        self._problem = ""

    @property
    def is_listening(self) -> bool:
        """Whether a consumer exists, as far as is known; what is published meanwhile arrives."""
        return self._listening.is_set()

    async def until_listening(self) -> None:
        """Return once a consumer exists."""
        await self._listening.wait()

    async def run(self) -> None:
        """Listen: a broker that is away delays nobody."""
        while True:
            try:
                await self._listen()
            except (RapportError, JetStreamError, nats.errors.Error, OSError) as error:
                self._note(error.reason.name if isinstance(error, RapportError) else type(error).__name__)
                await self._clock.sleep(_RETRY_S * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries

    async def _listen(self) -> None:
        """Listen through one consumer until it falls silent or skips a message."""
        client = await self._connection.client()
        consumer = _Consumer(client, self._offer)
        subscription = await client.subscribe(consumer.inbox, cb=consumer.take)
        try:
            await self._connection.jetstream.call(f"CONSUMER.CREATE.{self._stream}", self._config(consumer.inbox))
            self._listening.set()
            self._note("")
            await consumer.until_useless()
        finally:
            self._listening.clear()
            with contextlib.suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()

    def _config(self, inbox: str) -> dict[str, Any]:
        config = {
            "deliver_subject": inbox,
            "deliver_policy": "new",
            "ack_policy": "none",
            "replay_policy": "instant",
            "max_deliver": 1,
            "flow_control": True,
            "idle_heartbeat": int(_HEARTBEAT_S * _NANOSECONDS),
            "inactive_threshold": int(_ABANDONED_S * _NANOSECONDS),
            "mem_storage": True,
            "num_replicas": 1,
        }
        return {"stream_name": self._stream, "config": config}

    def _note(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            state = "not_listening" if problem else "listening"
            get_logger().info("ledger_stream", state=state, reason=problem or None)


class _Consumer:
    """What one ephemeral consumer delivers."""

    def __init__(self, client: Client, offer: Callable[[ledger_pb2.LedgerChange], object]) -> None:
        self.inbox = client.new_inbox()
        self._client = client
        self._offer = offer
        self._delivered = 0
        self._heard = asyncio.Event()
        self._skipped = False

    async def take(self, message: Msg) -> None:
        """Take a delivery or a sign of life."""
        self._heard.set()
        if message.headers and "Status" in message.headers:
            await self._answer_flow_control(message)
            return
        sequence = message.metadata.sequence.consumer
        self._skipped |= sequence != self._delivered + 1
        self._delivered = sequence
        if _NOT_POSITIONED in message.subject:
            return
        with contextlib.suppress(DecodeError):  # whatever it was, its position is asked for as any other missing one
            change = events_pb2.PositionedEvent.FromString(message.data).change
            if change.position:
                self._offer(change)

    async def until_useless(self) -> None:
        """Return once a message was skipped, or neither message nor heartbeat has come for long."""
        while not self._skipped:
            self._heard.clear()
            try:
                async with asyncio.timeout(_SILENCE_S):
                    await self._heard.wait()
            except TimeoutError:
                return

    async def _answer_flow_control(self, message: Msg) -> None:
        """Tell the broker how far this process has come: it holds back what a slow one could not take."""
        stalled = (message.headers or {}).get(_STALLED)
        for subject in (message.reply, stalled):
            if subject:
                await self._client.publish(subject)
