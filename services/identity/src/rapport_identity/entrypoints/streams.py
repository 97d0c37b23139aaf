"""What streams of batches have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, TypeVar

from rapport_chassis.events.tasks import end

READ_AT_ONCE: Final = 8
"""Entries of a batch that are read before others have their turn: together they take a millisecond."""

TOGETHER: Final = 250
"""Entries of a batch that are one transaction: others wait for the lock as long, a fifth of a second."""

BatchT = TypeVar("BatchT")


async def one_ahead(batches: AsyncIterator[BatchT]) -> AsyncGenerator[BatchT, None]:
    """Iterate, and read the next batch while the one given out is written; the one after that waits with its sender."""

    async def read() -> tuple[BatchT] | None:
        try:
            return (await anext(batches),)
        except StopAsyncIteration:
            return None

    reading = asyncio.create_task(read())
    try:
        while (batch := await reading) is not None:
            reading = asyncio.create_task(read())
            yield batch[0]
    finally:
        await end(reading)
