"""Keeps a shelf up to date: reads what was written after the position it knows."""

from __future__ import annotations

import asyncio
from typing import Final

from rapport_chassis.database.engine import Database
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.telemetry.metrics import Meter

from rapport_pricing.adapters import catalogue, head
from rapport_pricing.app.limits import DatedLaws
from rapport_pricing.app.shelf import Shelf
from rapport_pricing.telemetry import LISTINGS, POSITION

_POSITIONS_AT_ONCE: Final = 2000


class Following:
    """What this process knows by heart, and how it comes to know more.

    Args:
        database: Where the catalogue is.
        laws: What the law says.
        meter: Is told how much there is.

    Attributes:
        shelf: The catalogue; another object after it began another life.
    """

    def __init__(self, database: Database, laws: DatedLaws, meter: Meter) -> None:
        self.shelf = Shelf(laws)
        self._position = meter.gauge(POSITION).of()
        self._listings = meter.gauge(LISTINGS).of()
        self._database = database
        self._laws = laws
        self._ready = False
        self._reading = asyncio.Lock()

    async def step(self) -> bool:
        """Read what is new, and return whether there was anything.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._reading:
            async with self._database.looking() as connection:
                at = await head.read(connection)
                known = self.shelf
                if known.epoch == at.epoch and known.position == at.position:
                    self._ready = True
                    return False
            async with self._database.transaction() as connection:
                at = await head.read(connection)
                if known.epoch != at.epoch or known.position > at.position:
                    known = Shelf(self._laws)
                    known.epoch = at.epoch
                while known.position < at.position:
                    upto = min(at.position, known.position + _POSITIONS_AT_ONCE)
                    known.follow(await catalogue.news(connection, known.position, upto))
                    await asyncio.sleep(0)
            self.shelf = known
            self._ready = True
            self._position.set(known.position)
            self._listings.set(len(known.lots))
            return True

    async def check(self) -> None:
        """Ask whether the catalogue was read, for health.

        Raises:
            RapportError: NOT_READY.
        """
        self.ready()

    def ready(self) -> Shelf:
        """Return the shelf.

        Raises:
            RapportError: NOT_READY: it was never read.
        """
        if not self._ready:
            raise CHASSIS_ERRORS.error("NOT_READY", "the catalogue has not been read yet")
        return self.shelf
