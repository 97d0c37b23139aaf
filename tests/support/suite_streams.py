"""The streams of a suite in the hand of a test: copies and late copies of events, delayed consumers, what is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from rapport_chassis.events.envelope import EVENT_ID, MESSAGE_ID
from rapport_chassis.events.jetstream import JetStreamApi, StoredMessage
from rapport_chassis.events.names import stream_name
from rapport_chassis.events.provision import PROVISION_USER
from rapport_chassis.events.topology import Topology
from rapport_chassis.events.wire import Wire
from rapport_local import broker
from rapport_local.environment import STREAM_PREFIX
from suite import SERVICE_NAMES, Suite

_OURS: Final = ("Nats-", "Content-")
RETRY: Final = f"{STREAM_PREFIX}_RETRY"
DEAD: Final = f"{STREAM_PREFIX}_DLQ"


class Streams:
    """What may be done to the streams of a suite, and looked up there."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self.topology: Topology = broker.topology()

    @asynccontextmanager
    async def api(self, user: str = PROVISION_USER) -> AsyncIterator[JetStreamApi]:
        """Connect as a user of the broker."""
        address = f"tls://{self._suite.address('nats')}"
        wire = await Wire.open(broker.settings_for(self._suite.environment, address, user), user=user)
        try:
            yield JetStreamApi(wire)
        finally:
            wire.close()

    async def ends(self) -> list[int]:
        """Return the last sequence of every context's stream."""
        return [await self.last(context) for context in SERVICE_NAMES]

    async def last(self, context: str) -> int:
        """Return the last sequence of a context's stream."""
        async with self.api() as api:
            return int((await api.stream_info(stream_name(STREAM_PREFIX, context)))["state"]["last_seq"])

    async def read(self, context: str, after: int = 0) -> list[StoredMessage]:
        """Return the messages of a context's stream, in order."""
        stream = stream_name(STREAM_PREFIX, context)
        async with self.api() as api:
            last = int((await api.stream_info(stream))["state"]["last_seq"])
            found = [await api.get(stream, sequence) for sequence in range(after + 1, last + 1)]
        return [message for message in found if message is not None]

    async def publish_again(self, context: str, sequence: int) -> bool:
        """Deliver an event once more, as if it came late: the same event, with another message id for the broker."""
        async with self.api() as reading:
            message = await reading.get(stream_name(STREAM_PREFIX, context), sequence)
        if message is None or EVENT_ID not in message.headers:
            return False
        headers = {name: value for name, value in message.headers.items() if not name.startswith(_OURS)}
        async with self.api(context) as api:
            await api.publish(message.subject, message.data, headers | {MESSAGE_ID: uuid4().hex})
        return True

    async def delay(self, stream: str, consumer: str, seconds: float) -> None:
        """Have the broker deliver nothing to a consumer for some time."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        async with self.api() as api:
            await api.call(f"CONSUMER.PAUSE.{stream}.{consumer}", {"pause_until": until.isoformat()})

    async def undelivered(self) -> list[str]:
        """Return the consumers that have not handled everything yet."""
        async with self.api() as api:
            left = []
            for each in self.topology.consumers:
                info = await api.consumer_info(each.stream, each.name)
                if info["num_pending"] or info["num_ack_pending"]:
                    left.append(f"{each.stream} {each.name}")
        return left

    async def dead(self) -> int:
        """Return how many dead letters there are."""
        async with self.api() as api:
            return int((await api.stream_info(DEAD))["state"]["messages"])
