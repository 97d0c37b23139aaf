"""Whom models were learned from, and the trainings that nobody asked for: `Teaching`, `Trainings`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

from rapport.churn.v1 import model_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.operations import OperationRunner
from rapport_chassis.times import set_stamp

from rapport_churn.adapters.models import DatabaseModels
from rapport_churn.adapters.registry import Registry
from rapport_churn.app.erasures import Renewal
from rapport_churn.app.models import Stored
from rapport_churn.app.times import moment_of
from rapport_churn.domain.errors import ERRORS
from rapport_churn.domain.receipts import CARD, Taught

CALLER: Final = "rapport:churn"
"""Who asks for trainings that nobody asked for."""

_KEPT: Final = 4
_LAST: Final = """
SELECT bool_or(state IN ('running', 'cancelling')), max(created_at) FILTER (WHERE caller = %s)
FROM operations WHERE method = %s
"""


class RegisteredTeaching:
    """`Teaching`, from artefacts; the last few stay in memory.

    Args:
        registry: Where artefacts are.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[str, Taught | None] = {}

    async def of(self, model: Stored) -> Taught | None:
        """Return whom a model was learned from."""
        if model.model_id not in self._known:
            taught = await asyncio.to_thread(self._read, model)
            self._known[model.model_id] = taught
            for model_id in list(self._known)[:-_KEPT]:
                del self._known[model_id]
        return self._known[model.model_id]

    def _read(self, model: Stored) -> Taught | None:
        try:
            return Taught.of(model.model_id, self._registry.get(model.sha256))
        except (ValueError, KeyError) as error:
            raise ERRORS.error("MODEL_UNUSABLE", "the artefact does not say whom it was learned from") from error


@dataclass(frozen=True)
class OwnTrainings:
    """`Trainings`, as operations.

    Attributes:
        connection: The transaction.
        runner: Starts them.
        method: The method that trains.
        registry: Where the settings of models are.
        clock: The time.
    """

    connection: Connection
    runner: OperationRunner
    method: str
    registry: Registry
    clock: Clock

    async def last(self) -> tuple[bool, datetime | None]:
        """Return whether any training goes on, and when the last one was begun that nobody asked for."""
        row = await (await self.connection.execute(_LAST, (CALLER, self.method))).fetchone()
        assert row is not None
        return bool(row[0]), row[1]

    async def begin(self, like: Stored) -> None:
        """Begin one."""
        card = json.loads((await asyncio.to_thread(self.registry.get, like.sha256)).get(CARD, b"{}"))
        request = model_pb2.TrainModelRequest(
            request_id=str(uuid4()), seed=card.get("seed", 0), like_model_id=like.model_id
        )
        if assumed := card.get("arrival_assumed_before"):
            set_stamp(request.arrival_assumed_before, moment_of(assumed))
        metadata = model_pb2.TrainModelMetadata()
        set_stamp(metadata.started_at, self.clock.now())
        await self.runner.submit(self.connection, method=self.method, caller=CALLER, request=request, metadata=metadata)


@dataclass(frozen=True)
class Renewing:
    """Takes the steps of `Renewal`, each in a transaction.

    Attributes:
        renewal: What is to be done.
        database: Where models are.
        runner: Starts trainings.
        method: The method that trains.
        registry: Where artefacts are.
        clock: The time.
    """

    renewal: Renewal
    database: Database
    runner: OperationRunner
    method: str
    registry: Registry
    clock: Clock

    async def step(self) -> bool:
        """Take one.

        Raises:
            RapportError: MODEL_UNUSABLE, NOT_READY.
        """
        async with self.database.transaction() as connection:
            trainings = OwnTrainings(connection, self.runner, self.method, self.registry, self.clock)
            return await self.renewal.step(DatabaseModels(connection), trainings, self.clock.now())


@dataclass(frozen=True)
class Settled:
    """Gives the settings of trees that a model was learned with.

    Attributes:
        database: Where models are.
        registry: Where artefacts are.
    """

    database: Database
    registry: Registry

    async def __call__(self, model_id: str) -> Mapping[str, object] | None:
        """Return settings and rounds; None if the model has none, or there is no such model.

        Raises:
            RapportError: MODEL_UNUSABLE, NOT_READY.
        """
        async with self.database.transaction() as connection:
            model = await DatabaseModels(connection).find(model_id)
        if model is None:
            return None
        files = await asyncio.to_thread(self.registry.get, model.sha256)
        found = json.loads(files.get(CARD, b"{}")).get("findings", {})
        if not found.get("rounds"):
            return None
        return {"settings": found["settings"], "rounds": found["rounds"]}
