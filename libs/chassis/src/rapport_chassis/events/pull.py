"""Pulling from a durable consumer: bound to as it is, never created or changed from here."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from rapport_chassis.events.errors import EVENT_ERRORS
from rapport_chassis.events.nats import NatsConnection

EXPIRES_S: Final = 5.0
HEARTBEAT_S: Final = 1.5
_SILENCE_S: Final = 2 * HEARTBEAT_S + 1.0
_NANOSECONDS: Final = 1_000_000_000

_HEARTBEAT: Final = "100"
_EXPIRED: Final = frozenset({"404", "408"})


@dataclass(frozen=True, slots=True)
class Binding:
    """A durable consumer that was found to be what the code expects.

    Attributes:
        stream: The stream it reads.
        consumer: Its name.
        ack_wait_s: After how long without a sign an event is delivered again.
        max_deliver: How often an event is delivered at most.
    """

    stream: str
    consumer: str
    ack_wait_s: float
    max_deliver: int


async def bind(connection: NatsConnection, stream: str, consumer: str, subjects: Collection[str]) -> Binding:
    """Look at a durable consumer and check that it delivers what the code expects, in the way it expects.

    Raises:
        RapportError: STREAM_MISSING, CONSUMER_MISSING, CONSUMER_DRIFTED, BROKER_UNAVAILABLE.
    """
    info = await connection.jetstream.consumer_info(stream, consumer)
    config: dict[str, Any] = info["config"]
    filters = set(config.get("filter_subjects") or [config.get("filter_subject", ">")])
    drifts = {
        "filter_subjects": filters == set(subjects),
        "ack_policy": config.get("ack_policy") == "explicit",
        "deliver_subject": not config.get("deliver_subject"),
        "max_deliver": config.get("max_deliver", -1) > 0,
        "durable_name": config.get("durable_name") == consumer,
        "backoff": not config.get("backoff"),  # it would stretch the delays asked for when an event is given back
    }
    wrong = sorted(name for name, right in drifts.items() if not right)
    if wrong:
        raise EVENT_ERRORS.error(
            "CONSUMER_DRIFTED",
            f"consumer {consumer} of {stream} differs from the code in {', '.join(wrong)}: provision again",
            metadata={"stream": stream, "consumer": consumer, "fields": ",".join(wrong)},
        )
    return Binding(stream, consumer, config["ack_wait"] / _NANOSECONDS, config["max_deliver"])


class Pull:
    """Messages of a bound consumer, asked for a batch at a time."""

    def __init__(self, connection: NatsConnection, binding: Binding, batch: int) -> None:
        self.stream = binding.stream
        self._connection = connection
        self._subject = f"{connection.jetstream.prefix}.CONSUMER.MSG.NEXT.{binding.stream}.{binding.consumer}"
        self._batch = batch
        self._arrived: deque[Msg] = deque()
        self._something_arrived = asyncio.Event()
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Subscribe to an inbox of its own."""
        client = await self._connection.client()
        self._inbox = client.new_inbox()
        self._subscription = await client.subscribe(self._inbox, cb=self._take)

    async def close(self) -> list[Msg]:
        """Unsubscribe, which must come before the connection is closed, and return what arrived and was not given."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with contextlib.suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()
        return self.waiting

    @property
    def waiting(self) -> list[Msg]:
        """Messages that arrived and were not given yet."""
        return [message for message in self._arrived if _status(message) is None]

    async def messages(self) -> AsyncGenerator[Msg | None, None]:
        """Yield messages, and None from time to time while there are none; the next batch is asked for in time.

        Raises:
            RapportError: CONSUMER_MISSING: it was deleted. BROKER_UNAVAILABLE: neither message nor heartbeat came.
        """
        asked = 0
        while True:
            if asked <= 0:
                await self._ask(await self._connection.client())
                asked = self._batch
            message = await self._next_message()
            status = _status(message)
            if status is None:
                asked -= 1
                yield message
            elif status == _HEARTBEAT:
                yield None
            elif status in _EXPIRED:
                asked = 0
            else:
                # 409: deleted, or the leader changed; 503: nobody serves it. Looking again tells which.
                raise EVENT_ERRORS.error("CONSUMER_MISSING", f"the consumer ended the request ({status})")

    async def _next_message(self) -> Msg:
        while not self._arrived:
            self._something_arrived.clear()
            try:
                async with asyncio.timeout(_SILENCE_S):
                    await self._something_arrived.wait()
            except TimeoutError:
                raise EVENT_ERRORS.error("BROKER_UNAVAILABLE", "neither message nor heartbeat came") from None
        return self._arrived.popleft()

    async def _ask(self, client: Client) -> None:
        request = {
            "batch": self._batch,
            "expires": int(EXPIRES_S * _NANOSECONDS),
            "idle_heartbeat": int(HEARTBEAT_S * _NANOSECONDS),
        }
        try:
            await client.publish(self._subject, json.dumps(request).encode(), reply=self._inbox)
        except (nats.errors.Error, OSError) as error:
            raise EVENT_ERRORS.error("BROKER_UNAVAILABLE", type(error).__name__) from error

    async def _take(self, message: Msg) -> None:
        self._arrived.append(message)
        self._something_arrived.set()


def _status(message: Msg) -> str | None:
    return message.headers.get("Status") if message.headers and not message.reply.startswith("$JS.ACK") else None
