"""A simulated machine with a process that holds a gate: the real replica, follower and gate, on a loop of its own.

The loop runs when it is told to, so a process can be stopped in mid-step while time passes, as SIGSTOP does.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Any, Final

from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_privacy.follower import Follower, Occurrence, Timing
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.merging import Merge
from rapport_privacy.ports import LedgerHead
from rapport_privacy.replica import Applied, Replica

from rapport_testing.clock import TestClock
from rapport_testing.gate_history.chronicle import Question
from rapport_testing.gate_history.judge import Decision, Life, Windows
from rapport_testing.gate_history.network import Agenda, Line, State
from rapport_testing.ledger_model import LedgerModel

_BEGINS: Final = 0.05
_GOES_ON: Final = 0.3


class ProcessLoop(asyncio.SelectorEventLoop):
    """The event loop of a simulated process: its time is a test clock's, and it waits for nothing."""

    def __init__(self, clock: TestClock) -> None:
        self._clock = clock
        self._failure: BaseException | None = None
        super().__init__(_Impatient(self.stop))
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Return the clock since boot."""
        return self._clock.boottime()

    def run(self, meanwhile: Callable[[], None], *, turns: int = 0, interrupt: bool = False) -> None:
        """Run all that can run now.

        Args:
            meanwhile: Called in the first turns of the loop, in between everything else.
            turns: How many turns those are, beyond the first one.
            interrupt: Whether to leave off after them, in the middle of whatever was to come.
        """

        def turn(left: int) -> None:
            meanwhile()
            if left:
                self.call_soon(turn, left - 1)
            elif interrupt:
                self.stop()

        self.call_soon(turn, turns)
        self.run_forever()
        if self._failure is not None:
            raise self._failure

    def kill(self) -> None:
        """End all tasks where they are, and the loop."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.run_forever()
        self.close()

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "handle" in context:  # a callback has failed, and with it the simulation
            self._failure = context["exception"]
        else:
            self.default_exception_handler(context)


class _Impatient(selectors.SelectSelector):
    """Ends the loop instead of waiting: nothing ever comes from outside."""

    def __init__(self, end: Callable[[], None]) -> None:
        super().__init__()
        self._end = end

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._end()
        return []


@dataclass(frozen=True)
class Make:
    """What a gate is made of; replaced to see what the judge says of a gate that is not sound."""

    replica: Callable[[], Replica] = Replica
    freshness: Callable[[Windows], Freshness] = lambda windows: Freshness(**windows._asdict())


class Machine:
    """A place where one process after the other holds a gate.

    Attributes:
        line: Its calls to the ledger.
        clock: Its clocks; that of the wall may be set.
        deaf: Messages of the stream are lost on their way to it.
        late: They are late, and in any order.
        process: The process that runs now.
    """

    def __init__(self, ledger: LedgerModel, agenda: Agenda, random: Random, make: Make, windows: Windows) -> None:
        self.line = Line(agenda, random)
        self.clock = TestClock(boottime=agenda.now)
        self.deaf = State()
        self.late = State()
        self._ledger = ledger
        self._random = random
        self._make = make
        self._windows = windows
        self.process = self._start()

    def restart(self) -> None:
        """Kill the process and start another, which knows nothing."""
        self.process.loop.kill()
        self.process = self._start()

    def _start(self) -> Process:
        replica, freshness = self._make.replica(), self._make.freshness(self._windows)
        return Process(self._ledger, self.line, self.clock, self._random, replica, freshness)


class Process:
    """One life of a process. It is also the follower's three sources, which reach the ledger by the machine's line.

    Attributes:
        life: What the judge may know of it.
        loop: Its event loop.
        stopped: It does not run while time passes.
        replica: Its replica.
    """

    def __init__(
        self,
        ledger: LedgerModel,
        line: Line,
        clock: TestClock,
        random: Random,
        replica: Replica,
        freshness: Freshness,
    ) -> None:
        self.loop = ProcessLoop(clock)
        self.stopped = State()
        self.replica = replica
        self.life = Life(lambda _: self._proof)
        self._proof = -inf
        self._ledger = ledger
        self._line = line
        self._clock = clock
        self._gate = Gate(replica, freshness, clock)
        self._fences_on_the_way: list[str] = []
        self._packing: Iterator[None] | None = None
        self._follower = _Watched(
            self._hear,
            replica,
            freshness,
            heads=self,
            changes=self,
            snapshots=self,
            clock=clock,
            timing=Timing(page=random.choice((3, 20, 500))),
            report=self._note,
            chance=random.random,
        )
        self.loop.create_task(self._follower.start())

    def receive(self, change: ledger_pb2.LedgerChange) -> None:
        """A message of the stream has reached its machine; it sees it when it runs."""
        if not self.loop.is_closed():
            self.loop.call_soon(self._follower.offer, change)

    def pack(self, chance: float) -> None:
        """Seldom begin to pack what the replica holds, or go on with it, as a large one does in the background."""
        if self._packing is not None and chance < _GOES_ON:
            if next(self._packing, self) is self:
                self._packing = None
        elif self._packing is None and chance < _BEGINS:
            merge = Merge(self.replica.contents, self.replica.fences)
            merge.pack()
            self._packing = merge.finish()

    def decide(self, question: Question, at_least: LedgerHead | None = None) -> Decision:
        """Ask the gate, and take the decision down."""
        at, wall = self._clock.boottime(), self._clock.now()
        decision = self._gate.check(question.person, question.purpose, brand_id=question.brand, at_least=at_least)
        return Decision(at, wall, question, decision.answer, decision.epoch, decision.position, at_least)

    async def read(self) -> LedgerHead:
        """Read the head."""
        began_at = self._clock.boottime()

        def answered() -> None:
            self._proof = max(self._proof, began_at)

        return await self._line.call(lambda: LedgerHead(self._ledger.epoch, self._ledger.position), answered)

    async def after(self, position: int, limit: int, epoch: str) -> list[ledger_pb2.LedgerChange]:
        """Read changes."""

        def page() -> list[ledger_pb2.LedgerChange]:
            if self._line.withheld:
                raise ConnectionError("the ledger does not read its changes")
            return self._ledger.page(position, limit, epoch)

        return await self._line.call(page)

    async def stream(self) -> AsyncGenerator[consent_pb2.StreamSnapshotResponse, None]:
        """Read a snapshot, message by message: all of it from the moment at which the ledger began to send it."""
        messages = await self._line.call(lambda: list(self._ledger.snapshot()))
        self._fences_on_the_way = [fence.profile_id for message in messages for fence in message.chunk.fences]
        for message in messages[:-1]:
            yield message
            await self._line.call(lambda: None)
        self.life.loaded_at = min(self.life.loaded_at, self._clock.boottime())
        yield messages[-1]

    def _note(self, occurrence: Occurrence) -> None:
        if occurrence is Occurrence.LOADED:
            self._hear(self._fences_on_the_way)

    def _hear(self, profile_ids: list[str]) -> None:
        for profile_id in profile_ids:
            self.life.heard_fences.setdefault(profile_id, self._clock.boottime())


class _Watched(Follower):
    """Tells of the fences that it has applied."""

    def __init__(self, hear: Callable[[list[str]], None], *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._hear = hear

    def offer(self, change: ledger_pb2.LedgerChange) -> Applied:
        applied = super().offer(change)
        self._hear([fence.profile_id for fence in change.fences])
        return applied
