"""The streams of a suite in the hand of a test: copies and late copies of events, delayed consumers, what is left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
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
        async with self.api() as api:
            return [await _last(api, stream_name(STREAM_PREFIX, context)) for context in SERVICE_NAMES]

    async def last(self, context: str) -> int:
        """Return the last sequence of a context's stream."""
        async with self.api() as api:
            return await _last(api, stream_name(STREAM_PREFIX, context))

    async def read(self, context: str, after: int = 0) -> list[StoredMessage]:
        """Return the messages of a context's stream, in order."""
        stream = stream_name(STREAM_PREFIX, context)
        async with self.api() as api:
            found = [await api.get(stream, sequence) for sequence in range(after + 1, await _last(api, stream) + 1)]
        return [message for message in found if message is not None]

    async def publish_again(self, context: str, sequences: Sequence[int]) -> int:
        """Deliver events once more, as if they came late, and return how many: as other messages for the broker."""
        stream = stream_name(STREAM_PREFIX, context)
        async with self.api() as reading:
            found = [await reading.get(stream, each) for each in sequences]
        events = [message for message in found if message is not None and EVENT_ID in message.headers]
        async with self.api(context) as api:
            for each in events:
                headers = {name: value for name, value in each.headers.items() if not name.startswith(_OURS)}
                await api.publish(each.subject, each.data, headers | {MESSAGE_ID: uuid4().hex})
        return len(events)

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


async def _last(api: JetStreamApi, stream: str) -> int:
    return int((await api.stream_info(stream))["state"]["last_seq"])
