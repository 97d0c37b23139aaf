"""Use case: keep a worker busy, fairly."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.database.commits import Commits
from rapport_chassis.errors import RapportError
from rapport_chassis.events.tasks import end
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import GaugeSeries

from rapport_notification.app.dispatching import Dispatching
from rapport_notification.app.messages import Stored
from rapport_notification.app.sending import SendStore
from rapport_notification.app.times import micros_of
from rapport_notification.app.waking import Wake
from rapport_notification.domain.entries import Limits
from rapport_notification.domain.scheduling import FairQueue, Priority, Queued

BATCH: Final = 25
_LANE: Final = 100
_IDLE_S: Final = 0.2
_GATHER_S: Final = {Priority.URGENT: 0.0, Priority.NORMAL: 0.02, Priority.BULK: 0.1}
"""How long after a look that did not fill its lane the next one comes: what arrives meanwhile goes in one batch."""
_OVERDUE_S: Final = 1.0
_AWAY_S: Final = 1.0


class Worker(Background):
    """Claims messages that are due and has them sent, in turns.

    Args:
        store: Where messages wait.
        dispatching: Sends batches; its recorder lives as long as the worker.
        queue: Decides on turns.
        wake: Is told of work.
        queued: Is told how many messages are claimed.
        limits: Times of claims and sends.
        commits: Says when somebody else may have made work.
        clock: The time.
    """

    name = "dispatcher"
    role: Literal["events"] = "events"

    def __init__(
        self,
        store: SendStore,
        dispatching: Dispatching,
        queue: FairQueue,
        wake: Wake,
        queued: GaugeSeries,
        limits: Limits,
        commits: Commits,
        clock: Clock,
    ) -> None:
        self._store = store
        self._commits = commits
        self._dispatching = dispatching
        self._queue = queue
        self._wake = wake
        self._queued = queued
        self._limits = limits
        self._clock = clock
        # By message and claim: one that was put off is claimed again while others of its batch are still under way.
        self._claimed: dict[tuple[str, int], Stored] = {}
        self._lanes: Counter[Priority] = Counter()
        self._empty: dict[Priority, tuple[int, float]] = {}
        self._looked: dict[Priority, float] = {}
        self._batches: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Claim and send until cut off."""
        while True:
            mark = self._commits.mark
            try:
                await self._claim()
            except RapportError as error:
                if error.reason.name != "NOT_READY":
                    get_logger().warning("not_claimed", component=self.name, reason=error.reason.name)
                await self._clock.sleep(_AWAY_S)
                continue
            except Exception as fault:
                get_logger().error("not_claimed", component=self.name, exc_info=fault)
                await self._clock.sleep(_AWAY_S)
                continue
            started = False
            while batch := self._next():
                started = True
                task = asyncio.create_task(self._send(batch))
                self._batches.add(task)
                task.add_done_callback(self._batches.discard)
            if started:
                await asyncio.sleep(0)
            elif rest_s := self._rest_s():
                await self._wake.wait(rest_s)
            else:
                word = self._wake.wait(_OVERDUE_S)
                await self._commits.since_or(word, mark, pace_s=_IDLE_S, at_most_s=_OVERDUE_S)

    async def start(self) -> None:
        """Begin, what keeps outcomes first."""
        await self._dispatching.recorder.start()
        await super().start()

    async def stop(self) -> None:
        """Claim nothing more; let what is under way end, and be kept."""
        await super().stop()
        if self._batches:
            _, late = await asyncio.wait(self._batches, timeout=self._limits.transfer_us / 1e6)
            for task in late:
                await end(task)
        await self._dispatching.recorder.stop()
        try:
            await self._store.give_back(list(self._claimed.values()))
        except RapportError as error:
            # Their claims run out by themselves.
            get_logger().warning("claims_not_given_back", component=self.name, reason=error.reason.name)

    async def _claim(self) -> None:
        """Fill the lanes that are half empty."""
        count = 0
        for priority in Priority:
            if self._lanes[priority] > _LANE // 2 or self._is_empty(priority) or self._gather_s(priority) > 0:
                continue
            said, now_us = self._wake.said, micros_of(self._clock.now())
            found = await self._store.claim(priority, _LANE, now_us, self._limits)
            if not found:
                self._empty[priority] = (said, time.monotonic())
            elif len(found) < _LANE:
                self._looked[priority] = time.monotonic()
            for stored in found:
                # Whatever still holds an earlier claim of it has its writes refused.
                self._claimed[stored.notification_id, stored.entry.fence] = stored
                self._lanes[priority] += 1
                count += 1
                destination = stored.ask.channels[0].channel.name
                turn = Queued(stored.notification_id, priority, stored.ask.brand_id, destination, stored.entry.fence)
                self._queue.push(turn)
        if count:
            failpoint("notification.claimed")
        self._queued.set(len(self._claimed))

    def _gather_s(self, priority: Priority) -> float:
        """Return how long messages of a priority still gather; 0 or less for no longer."""
        return self._looked.get(priority, 0.0) + _GATHER_S[priority] - time.monotonic()

    def _rest_s(self) -> float:
        """Return how long to wait at most while messages gather, or wait for a place; 0 if there are none."""
        gathering = [left for each in Priority if (left := self._gather_s(each)) > 0]
        return min(gathering, default=_IDLE_S if self._claimed else 0.0)

    def _is_empty(self, priority: Priority) -> bool:
        """Say whether there was nothing to claim a moment ago, and nobody has said that there is something new."""
        said, at = self._empty.get(priority, (-1, 0.0))
        return said == self._wake.said and time.monotonic() - at < _IDLE_S

    def _next(self) -> list[Queued]:
        """Return the messages whose turn it is; what has waited too long for its claim is left for the next one."""
        batch: list[Queued] = []
        least_us = micros_of(self._clock.now()) + self._limits.transfer_us + self._limits.margin_us
        while len(batch) < BATCH and (turn := self._queue.pop()) is not None:
            self._lanes[turn.priority] -= 1
            if self._of(turn).entry.leased_until_us < least_us:
                self._done(turn)
                continue
            batch.append(turn)
        return batch

    async def _send(self, batch: Sequence[Queued]) -> None:
        try:
            await self._dispatching.send([self._of(each) for each in batch])
        except RapportError as error:
            get_logger().warning("batch_not_sent", component=self.name, reason=error.reason.name)
        except Exception as fault:
            get_logger().error("batch_not_sent", component=self.name, exc_info=fault)
        finally:
            for each in batch:
                self._done(each)
            self._wake.nudge()

    def _done(self, turn: Queued) -> None:
        del self._claimed[turn.notification_id, turn.fence]
        self._queue.done(turn)

    def _of(self, turn: Queued) -> Stored:
        return self._claimed[turn.notification_id, turn.fence]
