"""The relay: moves events from the outbox to the context's stream. One is active per service, others stand by.

It holds a session lock of the database and tells the broker, with each message, which one must come before it: a relay
that lost its lock without noticing is refused, and nothing is published twice. Before it publishes it reads what is in
the stream beyond its index, because an earlier relay may have died between the broker's answer and its note of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal

import psycopg
from opentelemetry.trace import SpanContext

from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.notices import notices
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.events import telemetry as names
from rapport_chassis.events.catch_up import catch_up
from rapport_chassis.events.envelope import TRACEPARENT
from rapport_chassis.events.errors import EVENT_ERRORS
from rapport_chassis.events.jetstream import JetStreamError
from rapport_chassis.events.names import stream_name
from rapport_chassis.events.outbox import CHANNEL, oldest_unpublished_s
from rapport_chassis.events.published import PublishedIndex, Waiting
from rapport_chassis.events.sent import Sent, read_answers
from rapport_chassis.events.tasks import end
from rapport_chassis.events.wire import Request, Wire, WireError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.settings import NatsSettings
from rapport_chassis.telemetry.conventions import BATCH_COUNT, DESTINATION, MESSAGE_PUBLISH
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.propagation import parse_traceparent
from rapport_chassis.telemetry.red import RedMetrics
from rapport_chassis.telemetry.setup import Telemetry

_LOCK: Final = "SELECT pg_try_advisory_lock(hashtext('rapport'), hashtext('relay'))"
_STANDBY_POLL_S: Final = 0.25
_POLL_S: Final = 1.0
_LOCK_CHECK_S: Final = 2.0
_ANSWER_TIMEOUT_S: Final = 5.0
_BACKOFF_S: Final = (0.1, 5.0)
_HOUSEKEEPING_S: Final = 60.0
_LINKS: Final = 64
_ANOTHER_LAST_SEQUENCE: Final = 10071  # error code of JetStream
_WAITING: Final = {"STREAM_MISSING": "waiting_for_stream", "BROKER_UNAVAILABLE": "waiting_for_broker"}
_REASONS: Final = {
    "waiting_for_broker": "BROKER_UNAVAILABLE",
    "waiting_for_stream": "STREAM_MISSING",
    "refused_by_stream": "STREAM_REFUSES",
}
_TROUBLE: Final = frozenset({"waiting_for_database", "waiting_for_broker", "refused_by_stream", "failed"})


class Relay:
    """Publishes one service's events, as a component of its process.

    Args:
        context: The context whose stream is written, which is the service's name.
        database: Holds the outbox; its direct connection holds the lock.
        nats: Where the broker is; the service's certificate is its user.
        telemetry: Records what goes out.
        clock: Paces retries.
        batch: Most events in flight at once.
    """

    name = "relay"
    role: Literal["relay"] = "relay"

    def __init__(
        self,
        context: str,
        *,
        database: Database,
        nats: NatsSettings,
        telemetry: Telemetry,
        clock: Clock | None = None,
        batch: int = 500,
    ) -> None:
        self._context = context
        self._stream = stream_name(nats.stream_prefix, context)
        self._database = database
        self._nats = nats
        self._clock = clock or SystemClock()
        self._batch = batch
        self._index = PublishedIndex(database, self._stream)
        self._tracer = telemetry.tracer
        self._span = MESSAGE_PUBLISH.fill(destination=self._stream)
        self._red = RedMetrics(telemetry.meter).publisher()
        self._age = telemetry.meter.gauge(names.OUTBOX_AGE).of(self._stream)
        self._active = telemetry.meter.gauge(names.RELAY_ACTIVE).of(self._stream)
        self._refused = telemetry.meter.gauge(names.OUTBOX_REFUSED).of()
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._max_age = timedelta()
        self._knows_stream = asyncio.Event()
        self.state = "starting"
        """What it does now, as a code: "publishing", "standby", "waiting_for_broker" …"""
        self.detail = ""
        """Why it waits, for health detail."""

    async def start(self) -> None:
        """Begin in the background, whether or not the database and the broker are there."""
        self._task = asyncio.create_task(self._run(), name="relay")

    async def stop(self) -> None:
        """Stop publishing and release the lock; what the broker has not confirmed stays in the outbox."""
        if self._task is not None:
            await end(self._task)
        self._change("stopped")

    async def check(self) -> None:
        """Say, for health, whether events go out from here or from the relay that this one stands by for.

        Raises:
            RapportError: BROKER_UNAVAILABLE, STREAM_MISSING, STREAM_REFUSES, else NOT_READY.
        """
        if self.state in ("publishing", "standby"):
            return
        reason = _REASONS.get(self.state)
        what = f"the relay is not publishing: {self.state} {self.detail}".rstrip()
        raise EVENT_ERRORS.error(reason, what) if reason else CHASSIS_ERRORS.error("NOT_READY", what)

    async def _run(self) -> None:
        while True:
            try:
                async with self._database.direct() as lock:
                    await self._acquire(lock)
                    await self._lead(lock)
            except* (RapportError, psycopg.Error, TimeoutError, OSError):
                self._change("waiting_for_database")
            except* Exception as failed:
                self._change("failed")
                get_logger().error("relay_failed", stream=self._stream, exc_info=failed.exceptions[0])
            self._active.set(0)
            await self._back_off()

    async def _acquire(self, lock: Connection) -> None:
        while True:
            row = await (await lock.execute(_LOCK)).fetchone()
            if row is not None and row[0]:
                return
            self._failures = 0
            self._change("standby")
            await self._clock.sleep(_STANDBY_POLL_S)

    async def _lead(self, lock: Connection) -> None:
        """Publish for as long as the lock's connection stands: the end of one task ends the other at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(lock))
            group.create_task(self._publish())
            group.create_task(self._keep_house())

    async def _watch(self, lock: Connection) -> None:
        await lock.execute(f"LISTEN {CHANNEL}")
        looked = -_POLL_S
        while True:
            if await notices(lock, _POLL_S):
                self._hint.set()
                if self._clock.boottime() - looked < _POLL_S:
                    continue
            looked = self._clock.boottime()
            async with asyncio.timeout(_LOCK_CHECK_S):
                age_s = await oldest_unpublished_s(lock)
            self._age.set(age_s)
            if age_s:
                self._hint.set()

    async def _publish(self) -> None:
        while True:
            try:
                wire = await Wire.open(self._nats, user=self._context)
                try:
                    await self._publish_through(wire)
                finally:
                    wire.close()
            except WireError as error:
                self._change("waiting_for_broker", str(error))
            except JetStreamError as error:
                if error.error_code != _ANOTHER_LAST_SEQUENCE:
                    self._change("refused_by_stream", str(error))
            except RapportError as error:
                self._change(_WAITING.get(error.reason.name, "waiting_for_database"), error.message)
            await self._back_off()

    async def _publish_through(self, wire: Wire) -> None:
        """Publish batch after batch; while one is on its way to the broker, the one before is marked."""
        self._change("reading_stream")
        stream = await catch_up(wire, self._index, self._stream, domain=self._nats.domain)
        last, self._max_age = stream.last, stream.max_age
        self._knows_stream.set()
        self._active.set(1)
        marking: asyncio.Task[None] | None = None
        held: list[int] = []
        try:
            while wire.is_open:
                self._hint.clear()
                batch = await self._index.take(self._batch, held)
                sent = await self._send(wire, batch, last) if batch else None
                if marking is not None:
                    await marking
                    marking, held = None, []
                if sent is None:
                    self._change("publishing")
                    await self._hint.wait()
                    continue
                marking = asyncio.create_task(self._mark(sent))
                if sent.refusal is not None:
                    await marking
                    raise sent.refusal
                last, held = sent.last, [waiting.seq for waiting, _ in sent.confirmed]
                self._failures = 0
                self._change("publishing")
        finally:
            if marking is not None:
                await end(marking)
        raise WireError(wire.problem)

    async def _send(self, wire: Wire, batch: Sequence[Waiting], last: int) -> Sent:
        """Publish a batch, each message on condition that the one before it is the stream's last."""
        began = self._clock.boottime()
        requests = [
            Request(
                each.subject,
                each.payload,
                {**each.headers, "Nats-Expected-Stream": self._stream, "Nats-Expected-Last-Sequence": str(place)},
            )
            for place, each in enumerate(batch, last)
        ]
        links = _links(batch)
        span = self._tracer.span(self._span, links=links) if links else None
        try:
            answers = await wire.exchange(requests, timeout_s=_ANSWER_TIMEOUT_S)
        finally:
            if span is not None:
                span.set(DESTINATION, self._stream)
                span.set(BATCH_COUNT, len(batch))
                span.end()
        failpoint("relay.published")
        sent = read_answers(batch, answers, last, wire.problem)
        elapsed = self._clock.boottime() - began
        self._red.done(self._stream, elapsed, count=len(sent.confirmed))
        if sent.refusal is not None:
            self._red.done(self._stream, elapsed, "REFUSED", count=len(batch) - len(sent.confirmed))
        return sent

    async def _mark(self, sent: Sent) -> None:
        if sent.confirmed:
            await self._index.mark(sent.confirmed, progress=sent.last)
            failpoint("relay.marked")

    async def _keep_house(self) -> None:
        await self._knows_stream.wait()
        while True:
            try:
                self._refused.set(await self._index.refused())
                while self._max_age and await self._index.sweep(self._max_age):
                    pass
            except RapportError as error:
                get_logger().warning("relay_sweep_failed", stream=self._stream, reason=error.reason.name)
            await self._clock.sleep(_HOUSEKEEPING_S)

    async def _back_off(self) -> None:
        shortest, longest = _BACKOFF_S
        delay = min(longest, shortest * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        await self._clock.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, no secret

    def _change(self, state: str, detail: str = "") -> None:
        self.detail = detail
        # Reading the stream again and again while it refuses is no change worth a line.
        if state != self.state and (state, self.state) != ("reading_stream", "refused_by_stream"):
            level = logging.WARNING if state in _TROUBLE else logging.INFO
            get_logger().log(level, "relay_state", stream=self._stream, previous=self.state, state=state)
            self.state = state


def _links(batch: Sequence[Waiting]) -> list[SpanContext]:
    """The spans that wrote these events, as far as they are recorded."""
    headers = dict.fromkeys(each.headers.get(TRACEPARENT, "") for each in batch)
    contexts = (parse_traceparent(traceparent) for traceparent in headers if traceparent)
    return [context for context in contexts if context is not None and context.trace_flags.sampled][:_LINKS]
