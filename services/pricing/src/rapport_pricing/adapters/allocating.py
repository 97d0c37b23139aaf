"""The background step of bandits: before each stretch it settles how arms are given out from then on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database

from rapport_pricing.adapters import experiments
from rapport_pricing.adapters.units import Store
from rapport_pricing.app.rules import Rules
from rapport_pricing.app.times import micros_of
from rapport_pricing.app.trial_report import arms_of
from rapport_pricing.app.trials import Trial
from rapport_pricing.domain.experiments import allocate


class AllocateArms:
    """Looks at every bandit in force.

    Args:
        database: Where units are.
        store: Opens transactions.
        rules: Returns what was authored.
        written: Has this process know what it has just written.
        clock: The time.
    """

    def __init__(
        self,
        database: Database,
        store: Store,
        rules: Callable[[], Rules],
        written: Callable[[], Awaitable[object]],
        clock: Clock,
    ) -> None:
        self._database = database
        self._store = store
        self._rules = rules
        self._written = written
        self._clock = clock
        self._settled: dict[str, tuple[int, int]] = {}

    async def step(self) -> bool:
        """Settle the next stretch of each bandit, once; return whether any was not.

        Raises:
            RapportError: NOT_READY.
        """
        now_us = micros_of(self._clock.now())
        worked = False
        for trial in self._rules().at(now_us).trials:
            since_us = (now_us // trial.experiment.period_us + 1) * trial.experiment.period_us if trial.bandit else 0
            if trial.bandit and self._settled.get(trial.name) != (trial.version, since_us):
                await self._settle(trial, since_us)
                self._settled[trial.name] = trial.version, since_us
                worked = True
        return worked

    async def _settle(self, trial: Trial, since_us: int) -> None:
        async with self._database.transaction() as connection:
            if await experiments.is_allocated(connection, trial.name, trial.version, since_us):
                return
            units = await experiments.units(connection, trial.name, trial.version)
        arms = arms_of(list(trial.arms), units)
        shares = allocate(trial.experiment, arms, turn=since_us // trial.experiment.period_us)
        async with self._store.unit() as unit:
            catalogue = await unit.catalogue()
            position = await catalogue.place()
            await experiments.allocate(unit.connection, trial.name, trial.version, since_us, position, shares)
        await self._written()
