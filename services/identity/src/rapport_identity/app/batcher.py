"""Collects concurrent calls into batches: while one is written, the next one fills."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

LARGEST: Final = 64
"""Calls in a batch at most: above, a lone slow batch would delay all others more than it saves."""

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Batcher(Generic[Asked, Answered]):
    """Answers single calls from batches. One that finds nothing under way starts at once and never waits for company.

    Args:
        answer: Answers a batch, one answer for each in their order.
        largest: Calls in a batch at most.
    """

    def __init__(
        self, answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Answered]]], *, largest: int = LARGEST
    ) -> None:
        self._answer = answer
        self._largest = largest
        self._waiting: list[tuple[Asked, asyncio.Future[Answered]]] = []
        self._working: asyncio.Task[None] | None = None

    async def __call__(self, asked: Asked) -> Answered:
        """Return the answer; one caller that gives up takes nothing from the others.

        Raises:
            Exception: Whatever the batch failed with.
        """
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="batches")
        return await future

    async def close(self) -> None:
        """Wait until all calls so far are answered."""
        if self._working is not None:
            await asyncio.wait([self._working])

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
            batch = [(asked, future) for asked, future in batch if not future.done()]
            if not batch:
                continue
            try:
                answers = await self._answer([asked for asked, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
