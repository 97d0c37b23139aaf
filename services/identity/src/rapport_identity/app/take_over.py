"""Joins by the matcher that decides what is not joined by it yet, batch by batch, while everything is served.

When all are through, the partition is what this matcher makes of all records, whatever was there before.
"""

from __future__ import annotations

import asyncio
from typing import Final

from rapport_chassis.errors import CHASSIS_ERRORS

from rapport_identity.app.activate import ship
from rapport_identity.app.matchers import Matchers
from rapport_identity.app.partition import Partition
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.relinking import part
from rapport_identity.domain.told import Cause

AT_ONCE: Final = 64
"""Records that are joined anew in one transaction; what they hang together with comes on top."""


class KeepMatchers:
    """Keeps the matcher of this release, once, and then joins by the matcher that decides what is not joined by it.

    Args:
        partition: Where the records are.
        matchers: Where matchers are kept.
        shipped: The one of this release, and its id.
    """

    def __init__(self, partition: Partition, matchers: Matchers, shipped: tuple[str, Matcher]) -> None:
        self._partition = partition
        self._matchers = matchers
        self._shipped: tuple[str, Matcher] | None = shipped
        self._take_over = TakeOver(partition, matchers)

    async def check(self) -> None:
        """Return once the matcher of this release is kept.

        Raises:
            RapportError: NOT_READY.
        """
        if self._shipped is not None:
            raise CHASSIS_ERRORS.error("NOT_READY", "the matcher that ships has not been stored yet")

    async def step(self) -> bool:
        """Do some of it, and return whether there was anything to do.

        Raises:
            RapportError: NOT_READY.
        """
        if self._shipped is not None:
            await ship(self._partition, self._matchers, *self._shipped)
            self._shipped = None
        return await self._take_over.step()


class TakeOver:
    """Joins all records by the matcher that decides, some at a time; several processes may do so at once.

    Args:
        partition: Where the records are.
        matchers: Knows which are not joined yet.
        at_once: How many in one transaction.
    """

    def __init__(self, partition: Partition, matchers: Matchers, *, at_once: int = AT_ONCE) -> None:
        self._partition = partition
        self._matchers = matchers
        self._at_once = at_once

    async def step(self) -> bool:
        """Join some records, and return whether there were any.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._partition.units.unit() as unit:
            coming = await self._matchers.pending(unit, self._at_once)
        if coming is None:
            return False
        for number in coming.numbers:  # what takes longest is done before anybody is kept out, others coming between
            async with self._partition.still() as replica:
                if number in replica.index:
                    part(replica.index, replica.index[number], replica.bonds)
            await asyncio.sleep(0)
        async with self._partition.session() as session:
            pending = await self._matchers.pending(session.unit, self._at_once)
            if pending is None:
                return False
            session.replica.index.touch(pending.numbers)
            await session.finish(Cause.MATCHER_CHANGE)
            await self._matchers.joined(session.unit, pending)
        return True
