"""The consumer: takes events in, each with its effects in one transaction, and gives up on none without saying so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Final, Literal

import nats.errors
import psycopg
from google.protobuf.message import Message
from nats.aio.msg import Msg

from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.events import telemetry as names
from rapport_chassis.events.contract import describe
from rapport_chassis.events.errors import EVENT_ERRORS
from rapport_chassis.events.grouping import MOST, Together, intake_of
from rapport_chassis.events.intake import NAK_DELAYS_S, Concerns, Handler, Reader, any_event, give_back
from rapport_chassis.events.jetstream import JetStreamError
from rapport_chassis.events.names import retry_stream, retry_subject, stream_name
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.pausing import pause, paused
from rapport_chassis.events.pull import Binding, Pull, bind
from rapport_chassis.events.tasks import end
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.setup import Telemetry

_LOOK_AGAIN_S: Final = 2.0
_GATE_POLL_S: Final = 1.0
_GATE_LOOK_S: Final = 30.0
_GIVE_BACK_S: Final = 1.0
_ACK_WAIT_S: Final = 30.0
_WAITING: Final = frozenset({"STREAM_MISSING", "CONSUMER_MISSING"})
_UNHEALTHY: Final = frozenset({"CONSUMER_PAUSED", "CONSUMER_DRIFTED", "CONSUMER_FAILED", "BROKER_UNAVAILABLE"})
_TROUBLE: Final = _UNHEALTHY | {"NOT_READY"}


class Consumer:
    """One durable consumer, as a component of its service's process.

    It reads the context's stream and, from the shared one, the replays addressed to it. It binds to what provisioning
    has made and changes nothing about it; while that or the stream is missing it waits, and says so.

    Args:
        name: The durable consumer, for example "consent-profiles".
        stream: The context whose stream it reads.
        handler: Brings about what an event means; or what several mean `Together`.
        context: The context of this service.
        events: The event messages it reads; their names are the consumer's filter.
        nats: The connection.
        database: Holds the inbox and what the handler writes.
        telemetry: Records what is handled.
        release: Release of the service, for dead letters.
        concerns: Says whether an event may mean anything to the handler; by default each may.
        max_tasks: Most events handled at the same time.
        batch: Most events asked for at once.
        max_failures: After how many failures in a row it pauses.
        nak_delays_s: How long an event waits after its first, second … failure.
        clock: Paces everything.
    """

    role: Literal["events"] = "events"

    def __init__(
        self,
        name: str,
        stream: str,
        handler: Handler | Together,
        *,
        context: str,
        events: Sequence[type[Message]],
        nats: NatsConnection,
        database: Database,
        telemetry: Telemetry,
        release: str,
        concerns: Concerns = any_event,
        max_tasks: int = 8,
        batch: int = 20,
        max_failures: int = 20,
        nak_delays_s: Sequence[float] = NAK_DELAYS_S,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        prefix = nats.settings.stream_prefix
        self._stream = stream_name(prefix, stream)
        described = [describe(event) for event in events]
        self._sources = {
            self._stream: [f"rapport.{stream}.{event.version}.{event.name}.*" for event in described],
            retry_stream(prefix): [retry_subject(context, name)],
        }
        if isinstance(handler, Together):  # while one group is handled the next one comes together
            max_tasks, batch = max(max_tasks, 2 * MOST), max(batch, MOST)
        self._slots = {self._stream: asyncio.Semaphore(max_tasks), retry_stream(prefix): asyncio.Semaphore(1)}
        self._nats = nats
        self._database = database
        self._batch = batch
        self._max_failures = max_failures
        self._clock = clock or SystemClock()
        self._intake = intake_of(
            Reader(name, context, release, self._stream),
            handler,
            events=events,
            concerns=concerns,
            api=nats.jetstream,
            prefix=prefix,
            database=database,
            telemetry=telemetry,
            clock=self._clock,
            nak_delays_s=nak_delays_s,
        )
        self._gate = asyncio.Event()
        self._failures = 0
        self._pause_for: str | None = None
        self._pause_wanted = asyncio.Event()
        self._handled: dict[int, Msg] = {}
        self._pulls: set[Pull] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._readers: list[asyncio.Task[None]] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._ack_wait_s = _ACK_WAIT_S
        self._paused_gauge = telemetry.meter.gauge(names.CONSUMER_PAUSED).of(name)
        self._waiting_gauge = telemetry.meter.gauge(names.CONSUMER_WAITING).of(name)
        self._states: dict[str, str] = dict.fromkeys(self._sources, "starting")

    @property
    def state(self) -> str:
        """What it does now, as a code: "running", or a reason such as "CONSUMER_PAUSED" or "STREAM_MISSING"."""
        return self._states[self._stream]

    async def start(self) -> None:
        """Begin in the background, whether or not the broker, the stream and the database are there."""
        self._keepers = [
            asyncio.create_task(self._keep_gate(), name=f"{self.name} gate"),
            asyncio.create_task(self._show_progress(), name=f"{self.name} progress"),
        ]
        self._readers = [
            asyncio.create_task(self._read(stream, subjects), name=f"{self.name} {stream}")
            for stream, subjects in self._sources.items()
        ]

    async def stop(self) -> None:
        """Ask for nothing more, let what is being handled finish, and give back what was not begun."""
        self._intake.stopping = True
        await end(*self._readers)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await end(*self._keepers)
        for stream in self._sources:
            self._change(stream, "stopped")

    async def check(self) -> None:
        """Say, for health, whether events are taken in. Waiting for a sibling's stream is well: see `state`.

        Raises:
            RapportError: CONSUMER_PAUSED, CONSUMER_DRIFTED, CONSUMER_FAILED, BROKER_UNAVAILABLE, NOT_READY.
        """
        for state in self._states.values():
            if state in _UNHEALTHY:
                raise EVENT_ERRORS.error(state, f"consumer {self.name} takes nothing in")
            if state == "NOT_READY":
                raise CHASSIS_ERRORS.error(state, f"consumer {self.name} waits for the database")

    async def _read(self, stream: str, subjects: Sequence[str]) -> None:
        """Read one stream for ever: bind, pull until something is in the way, look again."""
        while True:
            await self._gate.wait()
            try:
                binding = await bind(self._nats, stream, self.name, subjects)
                self._ack_wait_s = min(self._ack_wait_s, binding.ack_wait_s)
                self._change(stream, "running")
                await self._pull(binding)
            except RapportError as error:
                self._change(stream, error.reason.name)
            except (JetStreamError, nats.errors.Error, OSError) as error:
                self._change(stream, "BROKER_UNAVAILABLE")
                get_logger().warning("consumer_interrupted", consumer=self.name, stream=stream, error=error)
            except Exception as error:
                self._change(stream, "CONSUMER_FAILED")
                get_logger().error("consumer_failed", consumer=self.name, stream=stream, exc_info=error)
            if self._gate.is_set():
                await self._clock.sleep(_LOOK_AGAIN_S * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries

    async def _pull(self, binding: Binding) -> None:
        """Hand messages on as they come, a bounded number at a time, until the gate closes."""
        pull = Pull(self._nats, binding, self._batch)
        slots = self._slots[binding.stream]
        await pull.open()
        self._pulls.add(pull)
        try:
            async with contextlib.aclosing(pull.messages()) as messages:
                while self._gate.is_set():
                    await slots.acquire()
                    message = await _next(messages, slots)
                    if message is None:
                        slots.release()
                        continue
                    task = asyncio.create_task(self._take(message, binding))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        finally:
            self._pulls.discard(pull)
            for message in await pull.close():
                await give_back(message, _GIVE_BACK_S)

    async def _take(self, message: Msg, binding: Binding) -> None:
        self._handled[id(message)] = message
        try:
            failure = await self._intake.take(message, binding.stream, binding.max_deliver)
        finally:
            del self._handled[id(message)]
            self._slots[binding.stream].release()
        self._failures = self._failures + 1 if failure else 0
        if failure and self._failures >= self._max_failures and self._pause_for is None:
            self._pause_for = failure
            self._pause_wanted.set()
            self._close_gate("CONSUMER_PAUSED")
            get_logger().error("consumer_paused", consumer=self.name, reason=failure, count=self._failures)

    async def _show_progress(self) -> None:
        """Tell the broker, each third of its patience, that what is here is still being worked on."""
        while True:
            await self._clock.sleep(self._ack_wait_s / 3)
            waiting = [message for pull in self._pulls for message in pull.waiting]
            for message in [*self._handled.values(), *waiting]:
                with contextlib.suppress(nats.errors.Error, OSError):
                    await message.in_progress()

    async def _keep_gate(self) -> None:
        """Take events in only while the database is there and no pause is noted in it, by this process or another."""
        while True:
            self._pause_wanted.clear()
            wanted, mark = self._pause_for, self._database.commits.mark
            try:
                opened = self._database.transaction if wanted is not None else self._database.looking
                async with opened() as connection:
                    if wanted is not None:
                        await pause(connection, self.name, reason=wanted, failures=self._failures)
                    found = await paused(connection, self.name)
            except (RapportError, psycopg.Error) as error:
                # Also before the first migration, when the table is missing.
                self._close_gate("NOT_READY")
                get_logger().debug("consumer_gate_closed", consumer=self.name, error=error)
            else:
                if found is not None:
                    self._pause_for, self._failures = None, 0
                    self._close_gate("CONSUMER_PAUSED")
                elif self._pause_for is None and not self._gate.is_set():
                    self._open_gate()
            await self._database.commits.since_or(
                self._pause_wanted.wait(), mark, pace_s=_GATE_POLL_S, at_most_s=_GATE_LOOK_S
            )

    def _open_gate(self) -> None:
        self._gate.set()
        for pull in self._pulls:  # of those that did not notice: it was closed for too short a time
            self._change(pull.stream, "running")

    def _close_gate(self, why: str) -> None:
        self._gate.clear()
        for stream in self._sources:
            self._change(stream, why)

    def _change(self, stream: str, state: str) -> None:
        previous = self._states[stream]
        if not self._gate.is_set() and state == "running":
            return
        if state != previous:
            level = logging.WARNING if state in _TROUBLE else logging.INFO
            get_logger().log(level, "consumer_state", consumer=self.name, stream=stream, previous=previous, state=state)
            self._states[stream] = state
        self._paused_gauge.set(int(self.state == "CONSUMER_PAUSED"))
        self._waiting_gauge.set(int(self.state in _WAITING))


async def _next(messages: AsyncGenerator[Msg | None, None], slots: asyncio.Semaphore) -> Msg | None:
    """The next message; the slot that was kept for it is free again if there is none."""
    try:
        return await anext(messages)
    except BaseException:
        slots.release()
        raise
