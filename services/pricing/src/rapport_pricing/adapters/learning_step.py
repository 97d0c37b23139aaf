"""The background step that learns: folds outcomes in, and lets what they say decide the next prices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.metrics import Meter

from rapport_pricing.adapters.folding import FoldOutcomes
from rapport_pricing.adapters.learning import LearningUnit
from rapport_pricing.adapters.units import Store
from rapport_pricing.app.learning import take_turn
from rapport_pricing.app.limits import DatedLaws
from rapport_pricing.app.times import micros_of
from rapport_pricing.telemetry import STUCK, TURNS


class LearnPrices:
    """Looks at one listing after the other, whoever waits longest first; each in one transaction.

    Args:
        database: Where outcomes are.
        store: Opens transactions.
        laws: What the law says.
        written: Has this process know what it has just written.
        meter: Counts.
        clock: The time.
    """

    def __init__(
        self,
        database: Database,
        store: Store,
        laws: DatedLaws,
        written: Callable[[], Awaitable[object]],
        meter: Meter,
        clock: Clock,
    ) -> None:
        self._database = database
        self._folding = FoldOutcomes(database)
        self._store = store
        self._laws = laws
        self._written = written
        self._turns = meter.counter(TURNS).of()
        self._stuck = meter.counter(STUCK).of()
        self._clock = clock

    async def step(self) -> bool:
        """Fold some outcomes in, and decide about one listing; return whether there was anything to do.

        Raises:
            RapportError: NOT_READY.
        """
        folded = await self._folding.step()
        return await self._decide() or folded

    async def _decide(self) -> bool:
        async with self._database.transaction() as connection:
            key = await LearningUnit(connection).next(micros_of(self._clock.now()))
        if key is None:
            return False
        async with self._store.unit() as unit:
            # Whoever publishes a price holds the head before a learner: so does who learns.
            catalogue = await unit.catalogue()
            ledger = LearningUnit(unit.connection)
            learner = await ledger.learner(key, hold=True)
            if learner is None:
                return False
            try:
                wake_us = await take_turn(catalogue, ledger, self._laws, key, learner)
            except RapportError as refusal:
                await ledger.stuck(key, refusal.reason.name, catalogue.now_us)
                self._stuck.add(1)
            else:
                await ledger.rest(key, wake_us)
            failpoint("pricing.learn.decided")
        self._turns.add(1)
        await self._written()
        return True
