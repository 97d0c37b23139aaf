"""Keeps a replica: bootstrap, changes as they come, gaps filled, freshness asked for."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from rapport.consent.v1 import ledger_pb2
from rapport_chassis.clock import Clock

from rapport_privacy.freshness import Freshness
from rapport_privacy.merging import merge
from rapport_privacy.ports import ChangeSource, ForeignEpochError, HeadSource, SnapshotSource
from rapport_privacy.replica import Applied, Replica
from rapport_privacy.snapshot import SnapshotLoad

_LARGE: Final = 10_000  # subjects of a snapshot that are packed in a thread


class Occurrence(StrEnum):
    """What a follower reports. Names for logs and metrics; nothing about a person."""

    LOADED = "loaded"
    EPOCH_CHANGED = "epoch_changed"
    HEAD_REGRESSED = "head_regressed"
    GAP_FILLED = "gap_filled"
    HEAD_UNREADABLE = "head_unreadable"
    HEAD_READABLE = "head_readable"
    CHANGES_UNREADABLE = "changes_unreadable"
    MERGE_FAILED = "merge_failed"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds a follower waits.

    Attributes:
        head_every_s: Between two head reads.
        idle_head_every_s: Between two head reads while changes are pushed and nobody asks the gate; so far below the
            bound that whoever asks first finds it fresh.
        fill_after_s: How long what is known to be missing may still arrive by itself, lengthened by up to half at
            random; 0 for a replica that is fed by filling alone.
        retry_s: Before the first retry of a failed load or filling, doubled up to `retry_most_s`, shortened by up to
            half at random.
        retry_most_s: Longest wait before a retry.
        call_s: Longest a call, or the next message of a snapshot, may take.
        page: Changes asked for at once.
    """

    head_every_s: float = 0.25
    idle_head_every_s: float = 0.5
    fill_after_s: float = 0.5
    retry_s: float = 0.5
    retry_most_s: float = 5.0
    call_s: float = 5.0
    page: int = 500


class GapUnfilledError(Exception):
    """The ledger did not send the position after the last one applied, though its head is beyond it."""


class Follower:
    """The component that feeds a replica.

    Changes may be pushed (`offer`), announced (`hint`) or neither: the head alone shows what is missing. A fault of a
    source never ends the follower; the replica turns stale by itself and fresh again when the source answers.
    """

    name = "consent-gate"
    role: Literal["all"] = "all"

    def __init__(
        self,
        replica: Replica,
        freshness: Freshness,
        *,
        heads: HeadSource,
        changes: ChangeSource,
        snapshots: SnapshotSource,
        clock: Clock,
        timing: Timing | None = None,
        report: Callable[[Occurrence], None] | None = None,
        observe: Callable[[ledger_pb2.LedgerChange], object] | None = None,
        is_pushed: Callable[[], bool] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._replica = replica
        self._freshness = freshness
        self._heads = heads
        self._changes = changes
        self._snapshots = snapshots
        self._clock = clock
        self._timing = timing or Timing()
        self._report = report or _ignore
        self._observe = observe or _ignore
        self._is_pushed = is_pushed or _never
        self._chance = chance
        self._tasks: list[asyncio.Task[None]] = []
        self._load_due = True
        self._look_now = asyncio.Event()
        self._work = asyncio.Event()
        self._head_due = asyncio.Event()
        self._merge_due = asyncio.Event()
        self._head_readable = True

    async def start(self) -> None:
        """Begin to follow, in the background: a ledger that cannot be reached delays nobody."""
        self._work.set()
        self._tasks = [
            asyncio.create_task(self._keep_contents(), name="consent-gate contents"),
            asyncio.create_task(self._keep_fresh(), name="consent-gate freshness"),
            asyncio.create_task(self._keep_packed(), name="consent-gate merges"),
        ]

    async def stop(self) -> None:
        """Stop following. The replica turns stale within its bound."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def offer(self, change: ledger_pb2.LedgerChange) -> Applied:
        """Take a change from a feed, in whatever order."""
        applied = self._replica.apply(change)
        self._observe(change)
        if applied is Applied.FOREIGN:
            # A late message of an old epoch, or the first of a new one: only the head can tell.
            self._head_due.set()
        self._freshness.applied(self._replica.position, self._clock.boottime())
        if self._replica.lag_positions:
            self._work.set()
        if self._replica.merge_due:
            self._merge_due.set()
        return applied

    def hint(self, position: int | None = None) -> None:
        """Look for changes now: the ledger is said to have moved, as far as a position if one is given."""
        if position is not None and position <= self._replica.position:
            return
        self._look_now.set()
        self._work.set()

    async def _keep_contents(self) -> None:
        failures = 0
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self._load_or_catch_up()
                failures = 0
            except ForeignEpochError:
                self._head_due.set()
            except Exception:  # the edge of the component: whatever a source raises, it is asked again
                self._report(Occurrence.CHANGES_UNREADABLE)
                await self._clock.sleep(self._retry_after(failures))
                failures += 1
                self._work.set()

    async def _load_or_catch_up(self) -> None:
        if self._load_due:
            await self._load()
        missing = not self._look_now.is_set()
        if missing and not await self._is_still_missing():
            return
        self._look_now.clear()
        position = self._replica.position
        await self._fill()
        if missing and self._timing.fill_after_s and self._replica.position > position:
            self._report(Occurrence.GAP_FILLED)

    async def _is_still_missing(self) -> bool:
        """Give what is known to be missing its time to arrive by itself."""
        known = self._replica.highest
        if known == self._replica.position:
            return False
        await self._until(self._look_now, self._timing.fill_after_s * (1 + self._chance() / 2))
        if self._load_due or self._replica.position >= known:
            self._work.set()
            return False
        return True

    async def _load(self) -> None:
        load = SnapshotLoad()
        async with asyncio.timeout(self._timing.call_s) as patience, aclosing(self._snapshots.stream()) as messages:
            async for message in messages:
                load.take(message)
                patience.reschedule(asyncio.get_running_loop().time() + self._timing.call_s)
        if len(load) > _LARGE:
            await asyncio.to_thread(load.pack)
        self._replica.load(load)
        self._load_due = False
        self._head_due.set()
        self._report(Occurrence.LOADED)

    async def _fill(self) -> None:
        """Read what follows the prefix until nothing is known to be missing."""
        while True:
            generation, position = self._replica.generation, self._replica.position
            async with asyncio.timeout(self._timing.call_s):
                page = await self._changes.after(position, self._timing.page, self._replica.epoch)
            if self._load_due or self._replica.generation != generation:
                self._work.set()
                return
            for change in page:
                self.offer(change)
            if not self._replica.lag_positions and len(page) < self._timing.page:
                return
            if self._replica.position == position:
                raise GapUnfilledError

    async def _keep_fresh(self) -> None:
        while True:
            self._head_due.clear()
            try:
                await self._read_head()
                readable = True
            except Exception:  # the edge of the component: an unreadable head makes stale, nothing else
                readable = False
            if readable is not self._head_readable:
                self._head_readable = readable
                self._report(Occurrence.HEAD_READABLE if readable else Occurrence.HEAD_UNREADABLE)
            await self._until_head_due(readable=readable)

    async def _until_head_due(self, *, readable: bool) -> None:
        timing, began_at = self._timing, self._clock.boottime()
        while not self._head_due.is_set():
            await self._until(self._head_due, timing.head_every_s)
            waited_s = self._clock.boottime() - began_at
            if not (readable and self._is_pushed()) or self._freshness.asked_for or self._replica.lag_positions:
                return
            if waited_s + timing.head_every_s > timing.idle_head_every_s:
                return

    async def _read_head(self) -> None:
        replica = self._replica
        if not replica.warm or self._load_due:
            return
        generation, applied, began_at = replica.generation, replica.position, self._clock.boottime()
        async with asyncio.timeout(self._timing.call_s):
            head = await self._heads.read()
        if replica.generation != generation:
            return
        if head.epoch != replica.epoch:
            replica.chill()
            self._freshness.reset()
            self._load_again(Occurrence.EPOCH_CHANGED)
        elif head.position < applied:
            # Positions may be given out again: what was applied beyond the head is in doubt until a new load.
            self._freshness.lapse()
            self._load_again(Occurrence.HEAD_REGRESSED)
        else:
            replica.heard_of(head.position)
            self._freshness.head_read(began_at, head.position, replica.position, self._clock.boottime())
            if replica.lag_positions:
                self._work.set()

    async def _keep_packed(self) -> None:
        while True:
            await self._merge_due.wait()
            self._merge_due.clear()
            try:
                await merge(self._replica)
            except Exception:  # the edge of the component: contents unpacked are as right, only larger
                self._report(Occurrence.MERGE_FAILED)
                await self._clock.sleep(self._timing.retry_most_s)

    def _load_again(self, reason: Occurrence) -> None:
        self._load_due = True
        self._look_now.set()
        self._work.set()
        self._report(reason)

    async def _until(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for an event, but no longer than this."""
        waits: list[Awaitable[object]] = [event.wait(), self._clock.sleep(seconds)]
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _retry_after(self, failures: int) -> float:
        longest = min(self._timing.retry_s * 2.0 ** min(failures, 20), self._timing.retry_most_s)
        return longest * (1 - self._chance() / 2)


def _never() -> bool:
    """Changes are not pushed."""
    return False


def _ignore(_: object) -> None:
    """Report to nobody."""
