"""Keys made ahead, so that a single write need not wait for the key store's commit before its own."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError

from rapport_identity.app.ports import DataKey, KeyStore

SIZE: Final = 256
"""How many keys are made at once."""

FRESH_S: Final = 600.0
"""A key that has waited longer is left to the sweep of orphans, which spares what is younger than an hour."""


class KeyPool:
    """Gives out keys that the key store has committed, each once.

    Args:
        keys: The key store.
        clock: Says how long keys have waited; also while the machine slept.
    """

    def __init__(self, keys: KeyStore, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._ready: deque[DataKey] = deque()
        self._made_at = 0.0
        self._making: asyncio.Task[None] | None = None

    async def take(self, count: int) -> list[DataKey]:
        """Return so many fresh keys; at once, where so many are ready.

        Raises:
            RapportError: NOT_READY.
        """
        if self._clock.boottime() - self._made_at > FRESH_S:
            self._ready.clear()
        if count > len(self._ready):
            # As many as a batch needs cost little more than one.
            self._add(await self._keys.create(count + SIZE))
        taken = [self._ready.popleft() for _ in range(count)]
        if len(self._ready) < SIZE // 2 and (self._making is None or self._making.done()):
            self._making = asyncio.create_task(self._make(), name="key pool")
        return taken

    async def close(self) -> None:
        """Stop making keys."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait([self._making])

    async def _make(self) -> None:
        with suppress(RapportError):  # whoever finds too few makes them and is told
            self._add(await self._keys.create(SIZE))

    def _add(self, keys: list[DataKey]) -> None:
        if not self._ready:
            self._made_at = self._clock.boottime()
        self._ready.extend(keys)
