"""A simulated network: time that is moved, calls that hang, are refused, or are answered late or never."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

_QUICK_S = (0.001, 0.03)
_SLOW_S = (0.3, 4.0)


class Agenda:
    """What is going to happen, in order of time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after that many seconds."""
        heapq.heappush(self._due, (self.now + seconds, next(self._order), action))

    def advance(self, seconds: float) -> None:
        """Let time pass, then do what has come due, including what that brings about at once."""
        self.now += seconds
        while self._due and self._due[0][0] <= self.now:
            heapq.heappop(self._due)[2]()


class State:
    """Something that is so while at least one cause of it lasts."""

    def __init__(self) -> None:
        self._causes = 0

    def __bool__(self) -> bool:
        return self._causes > 0

    def begin(self) -> None:
        """Add a cause."""
        self._causes += 1

    def end(self) -> None:
        """Take a cause away."""
        self._causes -= 1


class Line:
    """The way of a machine's calls to the ledger and back.

    A call that meets a hanging line stays where it is until the line goes on; it may then arrive, or be answered, long
    after it was made. The ledger answers whether the caller's process runs meanwhile or not.

    Attributes:
        refusing: Calls fail at once.
        hanging: Nothing passes.
        slow: Everything takes long.
        withheld: Changes are refused, and heads are not.
    """

    def __init__(self, agenda: Agenda, random: Random) -> None:
        self.refusing = State()
        self.hanging = State()
        self.slow = State()
        self.withheld = State()
        self._agenda = agenda
        self._random = random
        self._parked: list[Callable[[], None]] = []

    async def call(self, answer: Callable[[], T], answered: Callable[[], None] = lambda: None) -> T:
        """Return what the ledger answers when the call reaches it.

        Args:
            answer: Asks the ledger.
            answered: Told when the answer reaches the caller's machine.

        Raises:
            ConnectionError: The line was broken on the way there or back.
        """
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def ask() -> None:
            value = answer()
            self._travel(reply, lambda: deliver(value))

        def deliver(value: T) -> None:
            if not reply.done():
                answered()
                reply.set_result(value)

        self._travel(reply, ask)
        return await reply

    def free(self) -> None:
        """Let what was held up go on, once nothing holds it up."""
        if not self.hanging:
            parked, self._parked = self._parked, []
            for action in parked:
                self._agenda.later(self._latency_s(), action)

    def _travel(self, reply: asyncio.Future[Any], arrive: Callable[[], None]) -> None:
        def pass_through() -> None:
            if reply.done():
                return
            if self.hanging:
                self._parked.append(pass_through)
            elif self.refusing:
                reply.set_exception(ConnectionError("the ledger cannot be reached"))
            else:
                try:
                    arrive()
                except Exception as error:  # what the ledger raises is its answer
                    reply.set_exception(error)

        self._agenda.later(self._latency_s(), pass_through)

    def _latency_s(self) -> float:
        return self._random.uniform(*(_SLOW_S if self.slow else _QUICK_S))
