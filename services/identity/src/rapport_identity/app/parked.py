"""Links again what a privacy request had kept apart, once it has released the person."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol

from rapport_identity.app.partition import Partition
from rapport_identity.app.units import Unit
from rapport_identity.domain.told import Cause

_AT_ONCE: Final = 500


class Parked(Protocol):
    """Records that were parked."""

    async def due(self, unit: Unit, limit: int) -> list[int]:
        """Return some that no frozen profile keeps out any more."""
        ...

    async def done(self, unit: Unit, record_nos: Collection[int]) -> None:
        """Forget that they were parked."""
        ...


class TakeUpParked:
    """Takes up what was parked.

    Args:
        partition: Where it is linked.
        parked: What was parked.
    """

    def __init__(self, partition: Partition, parked: Parked) -> None:
        self._partition = partition
        self._parked = parked

    async def step(self) -> bool:
        """Link some of it, in one transaction; return whether there was any.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._partition.units.unit() as unit:
            if not await self._parked.due(unit, 1):
                return False
        async with self._partition.session() as session:
            due = await self._parked.due(session.unit, _AT_ONCE)
            index = session.replica.index
            index.touch(number for number in due if number in index)
            await session.finish(Cause.MATCHER)
            await self._parked.done(session.unit, due)
        return True
