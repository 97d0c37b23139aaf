"""Which models have a role, in memory: `Models`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Final, Literal

from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.metrics import Meter

from rapport_churn.adapters.models import DatabaseModels
from rapport_churn.adapters.registry import Registry
from rapport_churn.app.gates import Champion, gates_of
from rapport_churn.app.models import Promotion, Role, Stored, Teaching, find_model, learned_from
from rapport_churn.app.ports import Models, Serving
from rapport_churn.app.train import Made
from rapport_churn.domain.judged import Judged
from rapport_churn.domain.scoring import Scorer
from rapport_churn.telemetry import MODEL_AGE
from rapport_churn.translate.models import new_model, trained_until

_LOOK_S: Final = 10.0
_KEPT: Final = 4
"""Models that stay in memory after they have lost their role: to go back to one takes no time."""

Load = Callable[[Mapping[str, bytes]], Scorer]
"""Makes of an artefact what scores.

Raises:
    RapportError: MODEL_UNUSABLE.
"""


class Roles(Background):
    """The component that keeps the models that have a role in memory.

    What cannot be loaded leaves what served before in place, and says so in health; but nothing stays in place that was
    learned from somebody who was erased.

    Args:
        database: Says who has which role.
        registry: Holds the artefacts.
        teaching: Says whom models were learned from.
        load: Makes of an artefact what scores.
        every_s: How often to look.
        meter: Is told how old the champion is.
        clock: Paces.
    """

    name = "models"
    role: Literal["all"] = "all"

    def __init__(
        self,
        database: Database,
        registry: Registry,
        teaching: Teaching,
        load: Load,
        every_s: float,
        meter: Meter,
        clock: Clock,
    ) -> None:
        self._database = database
        self._registry = registry
        self._teaching = teaching
        self._load = load
        self._every_s = every_s
        self._clock = clock
        self._age = meter.gauge(MODEL_AGE).of()
        self._serving: dict[Role, Serving] = {}
        self._loaded: dict[str, Scorer] = {}
        self._trained: dict[str, float] = {}
        self._fault: RapportError | None = None

    @property
    def champion(self) -> Serving | None:
        """The one that serves."""
        return self._serving.get(Role.CHAMPION)

    @property
    def challenger(self) -> Serving | None:
        """The one that scores in the shadow of the champion."""
        return self._serving.get(Role.CHALLENGER)

    async def check(self) -> None:
        """Return if every model that has a role is in memory; an installation without models is well.

        Raises:
            RapportError: MODEL_UNUSABLE, NOT_READY.
        """
        if self._fault is not None:
            raise self._fault

    async def usable(self, model: Stored) -> None:
        """Return if a model can be loaded; it stays in memory then.

        Raises:
            RapportError: MODEL_UNUSABLE.
        """
        await self._scoring(model)

    async def run(self) -> None:
        """Look who has which role, again and again."""
        commits = self._database.commits
        while True:
            mark = commits.mark
            try:
                await self.refresh()
                self._fault = None
            except RapportError as error:
                if self._fault is None or self._fault.reason is not error.reason:
                    get_logger().error("model_not_loaded", component=self.name, reason=error.reason.name)
                self._fault = error
            if (champion := self.champion) is not None:
                self._age.set(self._clock.now().timestamp() - self._trained[champion.model_id])
            await commits.since(mark, pace_s=self._every_s, at_most_s=_LOOK_S if self._fault is None else self._every_s)

    async def refresh(self) -> None:
        """Look who has which role now.

        Raises:
            RapportError: MODEL_UNUSABLE, NOT_READY.
        """
        async with self._database.transaction() as connection:
            store = DatabaseModels(connection)
            current = await store.current()
            new = {role: each for role, each in current.items() if self._is_new(role, each)}
            stored = {each.model_id: await store.find(each.model_id) for each in new.values()}
        for role, promotion in new.items():
            model = stored[promotion.model_id]
            assert model is not None  # a promotion refers to it
            try:
                scoring = await self._scoring(model)
            except RapportError:
                await self._end_if_erased(role)
                raise
            self._serving[role] = Serving(promotion.model_id, promotion.version, promotion.promoted_at, scoring)
            get_logger().info("model_serves", type=role.name.lower(), state=promotion.model_id)

    async def _end_if_erased(self, role: Role) -> None:
        """Let a role go to nobody, rather than stay with a model that was learned from somebody who was erased."""
        if (held := self._serving.get(role)) is None:
            return
        async with self._database.transaction() as connection:
            store = DatabaseModels(connection)
            model = await find_model(store, held.model_id)
            removed = [each for each in await store.removed_since(model) if each.erased]
        if await learned_from(self._teaching, model, removed):
            del self._serving[role]
            get_logger().warning("model_ended", type=role.name.lower(), state=held.model_id)

    def _is_new(self, role: Role, promotion: Promotion) -> bool:
        known = self._serving.get(role)
        return known is None or known.version != promotion.version

    async def _scoring(self, model: Stored) -> Scorer:
        scoring = self._loaded.pop(model.model_id, None)
        if scoring is None:
            scoring = await asyncio.to_thread(lambda: self._load(self._registry.get(model.sha256)))
        self._loaded[model.model_id] = scoring
        self._trained[model.model_id] = trained_until(model)
        serving = {each.model_id for each in self._serving.values()}
        for model_id in [each for each in self._loaded if each not in serving][:-_KEPT]:
            del self._loaded[model_id]
        return scoring


class StoreModel:
    """Keeps models that were trained.

    Args:
        database: Where models are.
        registry: Where artefacts are.
        load: Makes of an artefact what scores.
        models: Who serves.
        clock: The time.
    """

    def __init__(self, database: Database, registry: Registry, load: Load, models: Models, clock: Clock) -> None:
        self._database = database
        self._registry = registry
        self._load = load
        self._models = models
        self._clock = clock

    async def __call__(self, model_id: str, made: Made) -> Stored:
        """Keep a model under an id, with what it must pass; a repeat does no harm.

        Raises:
            RapportError: MODEL_UNUSABLE, NOT_READY.
        """
        serving = await self._serving()

        def prepared() -> Stored:
            scorer = self._load(made.files)
            judged = Judged.load(made.judged) if made.judged else None
            gates = gates_of(json.loads(made.files["card.json"])["metrics"], scorer, judged, self._champion(serving))
            return new_model(model_id, self._registry.put(made.files), made, gates, self._clock.now())

        model = await asyncio.to_thread(prepared)
        async with self._database.transaction() as connection:
            store = DatabaseModels(connection)
            await store.add(model)
            return await find_model(store, model_id)

    async def _serving(self) -> Stored | None:
        async with self._database.transaction() as connection:
            store = DatabaseModels(connection)
            promotion = (await store.current()).get(Role.CHAMPION)
            return await store.find(promotion.model_id) if promotion is not None else None

    def _champion(self, model: Stored | None) -> Champion | None:
        """Return the model that serves. Many rows are scored without what it keeps from call to call of one."""
        serving = self._models.champion
        if model is None or serving is None or serving.model_id != model.model_id:
            return None  # it serves nowhere yet, or cannot be opened: it is held against nobody
        return Champion(serving.scoring, round(trained_until(model) * 1e6))
