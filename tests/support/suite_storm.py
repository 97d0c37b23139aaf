"""What happens to a suite in bad weather: parts are killed, events come twice, late and in another order."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from rapport_chassis.errors import RapportError
from rapport_chassis.events.jetstream import JetStreamError
from rapport_chassis.events.wire import WireError
from suite import SERVICE_NAMES, Suite
from suite_streams import Streams

VICTIMS: Final = (*SERVICE_NAMES, "postgres", "nats")
_DELAYS_S: Final = (0.2, 2.0)
_COPIES: Final = 5


class Storm:
    """Strikes between the calls of a job; the same seed strikes at the same calls, in the same way.

    Args:
        suite: What is struck.
        seed: Of every choice.
        kills: How many parts are killed, each about as often.
        calls: Over about how many calls of the job.
    """

    def __init__(self, suite: Suite, *, seed: int, kills: int, calls: int) -> None:
        self._suite = suite
        self._streams = Streams(suite)
        self._random = random.Random(seed)
        rounds = -(-kills // len(VICTIMS))
        drawn = [name for _ in range(rounds) for name in self._random.sample(VICTIMS, len(VICTIMS))][:kills]
        at = sorted(self._random.sample(range(1, max(calls, kills + 2)), kills))
        self._due = list(zip(at, drawn, strict=True))
        self._calls = 0
        self._coming_back: dict[str, asyncio.Task[None]] = {}
        self.killed: list[str] = []
        self.copied = 0
        self.delayed = 0

    async def step(self) -> None:
        """Strike, if the time has come: called before each call of the job."""
        self._calls += 1
        while self._due and self._due[0][0] <= self._calls:
            await self._strike(self._due.pop(0)[1])

    async def over(self) -> None:
        """Strike what is left to be struck, and wait until every part is back."""
        while self._due:
            await self._strike(self._due.pop(0)[1])
        await asyncio.gather(*self._coming_back.values())

    async def _strike(self, name: str) -> None:
        await self._mix_up()
        if name in self._coming_back:
            await self._coming_back.pop(name)
        await asyncio.to_thread(self._suite.kill, name)
        self.killed.append(name)
        self._coming_back[name] = asyncio.create_task(asyncio.to_thread(self._suite.resume, name))

    async def _mix_up(self) -> None:
        """Deliver some events again, which puts them behind newer ones, and let some readers fall behind."""
        context = self._random.choice(SERVICE_NAMES)
        part = [self._random.random() for _ in range(_COPIES)]
        reader = self._random.choice(self._streams.topology.consumers)
        seconds = self._random.uniform(*_DELAYS_S)
        try:
            last = await self._streams.last(context)
            self.copied += await self._streams.publish_again(context, [1 + int(each * last) for each in part])
            await self._streams.delay(reader.stream, reader.name, seconds)
            self.delayed += 1
        except (WireError, JetStreamError, RapportError, ConnectionError, TimeoutError):
            pass  # the broker is down just now, which is bad enough
