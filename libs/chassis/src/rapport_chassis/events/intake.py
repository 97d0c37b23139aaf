"""What becomes of one delivery: handled, given back for later, or given up with a dead letter."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import nats.errors
from google.protobuf.message import Message
from nats.aio.msg import Msg

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import RapportError
from rapport_chassis.events import telemetry as names
from rapport_chassis.events.contract import describe
from rapport_chassis.events.dead_letters import DeadLetter, DeadLetters, Reference, harmless, read_original
from rapport_chassis.events.envelope import EVENT_ID, Received
from rapport_chassis.events.errors import EVENT_ERRORS
from rapport_chassis.events.inbox import claim
from rapport_chassis.events.jetstream import JetStreamApi, JetStreamError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.conventions import BATCH_COUNT, CONSUMER, DESTINATION, MESSAGE_PROCESS
from rapport_chassis.telemetry.conventions import EVENT_ID as SPAN_EVENT_ID
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.propagation import parse_traceparent
from rapport_chassis.telemetry.red import RedMetrics
from rapport_chassis.telemetry.setup import Telemetry
from rapport_chassis.telemetry.tracing import Span, error_type

Concerns = Callable[[Received], bool]
"""Says whether an event may mean anything to a handler."""

Handler = Callable[[Received, Connection], Awaitable[None]]
"""Brings about what an event means, on the connection given: in one transaction with the note that it was handled.
It may be called again for the same event if that transaction does not commit."""

NAK_DELAYS_S: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
"""How long an event waits after its first, second … failure; each varied by a fifth."""

_ACK_TIMEOUT_S: Final = 1.0
_BACK_POLL_S: Final = 0.5
_STORE_AGAIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: the consumer, its context, the release of its service, and the stream whose events it handles."""

    consumer: str
    context: str
    release: str
    stream: str


class Intake:
    """Takes the deliveries of one consumer in.

    Args:
        reader: Who reads.
        handler: Brings about what an event means.
        events: The event messages it handles.
        concerns: Says whether an event may mean anything to it; one that does not leaves no note and takes no
            transaction.
        api: Reads the originals of replays, stores dead letters.
        prefix: First part of every stream's name.
        database: Holds the inbox and what the handler writes.
        telemetry: Records what is handled.
        clock: Paces waiting.
        nak_delays_s: How long an event waits after its first, second … failure.
    """

    def __init__(
        self,
        reader: Reader,
        handler: Handler,
        *,
        events: Sequence[type[Message]],
        concerns: Concerns,
        api: JetStreamApi,
        prefix: str,
        database: Database,
        telemetry: Telemetry,
        clock: Clock,
        nak_delays_s: Sequence[float],
    ) -> None:
        self._reader = reader
        self._handler = handler
        self._concerns = concerns
        self._classes = {describe(event).name: event for event in events}
        self._api = api
        self._database = database
        self._dead_letters = DeadLetters(api, prefix=prefix)
        self._clock = clock
        self._nak_delays_s = tuple(nak_delays_s)
        self._tracer = telemetry.tracer
        self._spans = {name: MESSAGE_PROCESS.fill(destination=f"{reader.stream} {name}") for name in self._classes}
        self._red = RedMetrics(telemetry.meter).consumer(reader.consumer)
        self._dead_counter = telemetry.meter.counter(names.DEAD_LETTERS)
        self._duplicates = telemetry.meter.counter(names.DUPLICATES).of(reader.consumer)
        self.stopping = False
        """Set at shutdown: nothing is waited for any more, what cannot be finished is given back."""

    async def take(self, message: Msg, stream: str, max_deliver: int) -> str | None:
        """Handle a delivery and tell the broker what became of it.

        Returns:
            None, or why the handling failed: a reason code or the class of an exception.
        """
        delivered = message.metadata.num_delivered
        reference = reference_to(message, stream)
        error: Exception
        try:
            failpoint("consumer.received")
            received = await self._read(message, reference)
            if self._concerns(received):
                await self._handle(received)
        except RapportError as refused:
            error, is_final = refused, not refused.reason.retryable or delivered >= max_deliver
        except Exception as failed:
            get_logger().error("event_failed", consumer=self._reader.consumer, exc_info=failed)
            error, is_final = failed, delivered >= max_deliver
        else:
            await confirm(message)
            return None
        get_logger().warning(
            "event_not_handled",
            consumer=self._reader.consumer,
            stream=reference.stream,
            sequence=reference.sequence,
            attempt=delivered,
            reason=error_type(error),
            state="given_up" if is_final else "given_back",
        )
        if is_final:
            await self._give_up(message, reference, error)
        else:
            await give_back(message, self._nak_delays_s[min(delivered, len(self._nak_delays_s)) - 1])
        return error_type(error)

    async def _read(self, message: Msg, reference: Reference) -> Received:
        """Return the event of a delivery: the message itself, or for a replay the one it refers to.

        Raises:
            RapportError: EVENT_MALFORMED, EVENT_INVALID, ORIGINAL_ERASED, ORIGINAL_GONE.
        """
        subject, headers, data, sequence = message.subject, message.headers, message.data, reference.sequence
        is_replay = reference.stream != self._reader.stream
        if is_replay:
            original = Reference.read(message.data)
            if original.stream != self._reader.stream:
                raise EVENT_ERRORS.error("EVENT_MALFORMED", "a replay of an event this consumer does not read")
            stored = await read_original(self._api, original)
            subject, headers, data, sequence = stored.subject, dict(stored.headers), stored.data, original.sequence
        received = Received.of(
            subject,
            headers,
            data,
            stream=self._reader.stream,
            sequence=sequence,
            delivered=message.metadata.num_delivered,
        )
        if is_replay and received.id != (message.headers or {}).get(EVENT_ID):
            raise EVENT_ERRORS.error("EVENT_MALFORMED", "a replay that names another event")
        event_class = self._classes.get(received.name)
        if event_class is None:
            raise EVENT_ERRORS.error("EVENT_MALFORMED", f"{received.type} is not read by this consumer")
        received.parse(event_class)
        return received

    async def _handle(self, received: Received) -> None:
        """Handle an event once, whatever happens, in one transaction with the note of it."""
        destination = f"{self._reader.stream} {received.name}"
        self._red.delivered(destination)
        began = self._clock.boottime()
        while True:
            try:
                with self._span(received):
                    async with self._database.transaction() as connection:
                        if await claim(connection, self._reader.consumer, received.id):
                            await self._handler(received, connection)
                        else:
                            self._duplicates.add()
                failpoint("consumer.effected")
            except Exception as error:
                if isinstance(error, RapportError) and error.reason.name == "NOT_READY" and await self._was_away():
                    continue
                self._red.done(destination, self._clock.boottime() - began, error_type(error))
                raise
            self._red.done(destination, self._clock.boottime() - began)
            return

    def _span(self, *events: Received) -> Span:
        """The span of a handling: linked to those that wrote the events, not part of them."""
        producers = [parse_traceparent(each.traceparent) for each in events if each.traceparent]
        return self._tracer.span(
            self._spans[events[0].name],
            links=[each for each in producers if each is not None],
            attributes={
                DESTINATION: self._reader.stream,
                CONSUMER: self._reader.consumer,
                **({SPAN_EVENT_ID: events[0].id} if len(events) == 1 else {BATCH_COUNT: len(events)}),
            },
        )

    async def _was_away(self) -> bool:
        """Whether the database was away; returns once it is back. An outage costs no event one of its attempts."""
        away = False
        while not self.stopping:
            try:
                await self._database.check()
            except RapportError:
                away = True
                await self._clock.sleep(_BACK_POLL_S)
            else:
                return away
        return False

    async def _give_up(self, message: Msg, reference: Reference, error: Exception) -> None:
        """Leave a dead letter, and only then end the delivery; held for as long as the letter cannot be left."""
        if reference.stream != self._reader.stream:
            with contextlib.suppress(RapportError):
                reference = Reference.read(message.data)
        violations = error.fields if isinstance(error, RapportError) else ()
        letter = DeadLetter(
            context=self._reader.context,
            consumer=self._reader.consumer,
            stream=reference.stream,
            sequence=reference.sequence,
            reason=error_type(error),
            release=self._reader.release,
            deliveries=message.metadata.num_delivered,
            time=self._clock.now(),
            fields=tuple(f"{each.path} {each.description}" for each in violations),
            headers=harmless(message.headers),
        )
        while not self.stopping:
            try:
                await self._dead_letters.add(letter)
            except (RapportError, JetStreamError) as problem:
                get_logger().error("dead_letter_not_stored", consumer=self._reader.consumer, error=problem)
                await self._clock.sleep(_STORE_AGAIN_S)
                continue
            self._dead_counter.of(self._reader.consumer, letter.reason).add()
            with contextlib.suppress(nats.errors.Error, OSError):
                await message.term()
            return


def any_event(_: Received) -> bool:
    """Say of every event that it may mean something."""
    return True


def reference_to(message: Msg, stream: str) -> Reference:
    """Return where a delivered message is."""
    return Reference(stream, message.metadata.sequence.stream)


async def confirm(message: Msg) -> None:
    """Tell the broker that a message was handled; one that it is not told of comes again, to an inbox that knows it."""
    with contextlib.suppress(nats.errors.Error, OSError):
        await message.ack_sync(_ACK_TIMEOUT_S)


async def give_back(message: Msg, delay_s: float) -> None:
    """Let the broker deliver a message again after about this long, never at once."""
    with contextlib.suppress(nats.errors.Error, OSError):
        await message.nak(delay_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries
