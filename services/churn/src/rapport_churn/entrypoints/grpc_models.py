"""rapport.churn.v1.ModelService over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from google.longrunning import operations_pb2
from rapport.churn.v1 import model_pb2, model_pb2_grpc, monitoring_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import RapportError
from rapport_chassis.once import Once, actor
from rapport_chassis.operations import Running
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.pipeline import current_call
from rapport_chassis.times import moment, set_stamp

from rapport_churn.app.erasures import receipt
from rapport_churn.app.models import ModelStore, Role, Stored, Teaching, find_model, model_with_role, promote
from rapport_churn.app.times import micros_of, moment_of
from rapport_churn.app.train import Made, Report, TrainModel
from rapport_churn.entrypoints.grpc_scores import MOST, PAGE
from rapport_churn.entrypoints.ports import Operations, Transactions
from rapport_churn.translate.models import gates_of, model_message, promotion_message, roles_of, work_message

SERVICE: Final = model_pb2.DESCRIPTOR.services_by_name["ModelService"]
TRAIN: Final = f"{SERVICE.full_name}/TrainModel"

_PROGRESS: Final = {
    "reading": (0.0, 0.1),
    "features": (0.1, 0.3),
    "search": (0.3, 0.6),
    "backtest": (0.6, 0.8),
    "fit": (0.8, 0.9),
    "fitting": (0.9, 0.95),
    "registering": (0.95, 1.0),
}
"""The share of the whole in which each phase begins and ends."""

Monitor = Callable[[monitoring_pb2.GetMonitoringReportRequest], Awaitable[monitoring_pb2.MonitoringReport]]
"""Says how a model does."""


class Artefacts(Protocol):
    """The artefacts of models."""

    def get(self, digest: bytes) -> Mapping[str, bytes]:
        """Return the files of one.

        Raises:
            RapportError: MODEL_UNUSABLE.
        """
        ...


class Loader(Protocol):
    """Loads models."""

    async def usable(self, model: Stored) -> None:
        """Return if a model can be loaded.

        Raises:
            RapportError: MODEL_UNUSABLE.
        """
        ...


class Store(Protocol):
    """Keeps a model that was trained."""

    async def __call__(self, model_id: str, made: Made) -> Stored:
        """Keep a model under an id; a repeat does no harm.

        Raises:
            RapportError: MODEL_UNUSABLE, NOT_READY.
        """
        ...


@dataclass(frozen=True)
class ModelWork:
    """Carries out what was started.

    Attributes:
        train: Trains.
        settled: Gives the settings that a model was learned with.
        clear: Leaves nothing behind of a work.
        store: Keeps the model.
        clock: Says when it began.
    """

    train: TrainModel
    settled: Callable[[str], Awaitable[Mapping[str, object] | None]]
    clear: Callable[[str], Awaitable[None]]
    store: Store
    clock: Clock

    async def trained(self, running: Running) -> model_pb2.Model:
        """Train a model; begun again after a kill, it goes on, and the model is kept under the same id."""
        request = model_pb2.TrainModelRequest.FromString(running.request)
        work = running.operation_id
        try:
            like = await self.settled(request.like_model_id) if request.like_model_id else None
            made = await self.train(
                work,
                like=like,
                seed=request.seed,
                as_of=moment(request.as_of) if request.HasField("as_of") else None,
                arrival_assumed_before=moment(request.arrival_assumed_before)
                if request.HasField("arrival_assumed_before")
                else None,
                report=self._reporting(running),
            )
            stored = await self.store(f"mdl_{work.partition('_')[2]}", made)
        except RapportError as refused:
            if not refused.reason.retryable:
                await self.clear(work)
            raise
        await self.clear(work)
        return model_message(stored, None)

    def _reporting(self, running: Running) -> Report:
        began = self.clock.now()

        async def report(phase: str, done: int, total: int) -> None:
            begins, ends = _PROGRESS.get(phase, (0.0, 1.0))
            share = done / total if total else 0.0
            await running.report(begins + share * (ends - begins), work_message(phase, done, total, began))

        return report


@dataclass(frozen=True)
class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Models, and which of them serves.

    Attributes:
        once: Runs each change in a transaction, once.
        database: Where models are read.
        models: Gives the models in a transaction.
        artefacts: Their artefacts.
        loader: Loads them.
        operations: Starts long work.
        teaching: Says whom models were learned from.
        clock: The time.
    """

    once: Once[Connection]
    database: Transactions
    models: Callable[[Connection], ModelStore]
    artefacts: Artefacts
    loader: Loader
    operations: Operations
    teaching: Teaching
    monitor: Monitor
    clock: Clock

    async def TrainModel(self, request: model_pb2.TrainModelRequest, context: Context) -> operations_pb2.Operation:
        """Start a training."""
        caller = current_call().caller

        async def effect(connection: Connection) -> operations_pb2.Operation:
            metadata = model_pb2.TrainModelMetadata()
            set_stamp(metadata.started_at, self.clock.now())
            return await self.operations.submit(
                connection, method=TRAIN, caller=caller, request=request, metadata=metadata
            )

        return await self.once.run(request, operations_pb2.Operation, effect, target="model")

    async def ListModels(self, request: model_pb2.ListModelsRequest, context: Context) -> model_pb2.ListModelsResponse:
        """List models, the newest first."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        before = (moment_of(int(cursor[0])), str(cursor[1])) if cursor else None
        async with self.database.transaction() as connection:
            store = self.models(connection)
            found = await store.page(before, size + 1)
            roles = roles_of(await store.current())
        page, token = found[:size], ""
        if len(found) > size:
            token = next_page_token(request, (micros_of(page[-1].created_at), page[-1].model_id))
        return model_pb2.ListModelsResponse(
            models=[model_message(each, roles.get(each.model_id)) for each in page], next_page_token=token
        )

    async def GetModel(self, request: model_pb2.GetModelRequest, context: Context) -> model_pb2.Model:
        """Return a model with its card."""
        at = moment(request.as_of) if request.HasField("as_of") else None
        async with self.database.transaction() as connection:
            store = self.models(connection)
            if request.model_id:
                model = await find_model(store, request.model_id)
                promotion = roles_of(await store.current()).get(model.model_id)
            else:
                promotion = await model_with_role(store, Role(request.role or Role.CHAMPION), at)
                model = await find_model(store, promotion.model_id)
        return model_message(model, promotion, self.artefacts.get(model.sha256).get("card.json", b""))

    async def PromoteModel(self, request: model_pb2.PromoteModelRequest, context: Context) -> model_pb2.Model:
        """Give a model a role."""

        async def effect(connection: Connection) -> model_pb2.Model:
            store = self.models(connection)
            model = await find_model(store, request.model_id)
            await self.loader.usable(model)
            promotion = await promote(
                store,
                self.teaching,
                model,
                Role(request.role),
                gates=gates_of(model),
                despite_gates=request.despite_gates,
                actor=actor(),
                reason=request.reason,
                now=self.clock.now(),
            )
            return model_message(model, promotion)

        return await self.once.run(request, model_pb2.Model, effect, target=request.model_id, reason=request.reason)

    async def ListPromotions(
        self, request: model_pb2.ListPromotionsRequest, context: Context
    ) -> model_pb2.ListPromotionsResponse:
        """List who had which role when, the newest first."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        before = (moment_of(int(cursor[0])), int(cursor[1]), int(cursor[2])) if cursor else None
        async with self.database.transaction() as connection:
            found = await self.models(connection).promotions(
                Role(request.role) if request.role else None, before, size + 1
            )
        page, token = found[:size], ""
        if len(found) > size:
            last = page[-1]
            token = next_page_token(request, (micros_of(last.promoted_at), int(last.role), last.version))
        return model_pb2.ListPromotionsResponse(promotions=map(promotion_message, page), next_page_token=token)

    async def GetErasureReceipt(
        self, request: model_pb2.GetErasureReceiptRequest, context: Context
    ) -> model_pb2.ErasureReceipt:
        """Return proof that the model that serves was learned without somebody."""
        async with self.database.transaction() as connection:
            found = await receipt(self.models(connection), self.teaching, request.profile_id)
        return model_pb2.ErasureReceipt(
            model_id_before=found.model_id_before, model_id=found.model_id, receipt=found.body
        )

    async def GetMonitoringReport(
        self, request: monitoring_pb2.GetMonitoringReportRequest, context: Context
    ) -> monitoring_pb2.MonitoringReport:
        """Say how a model does."""
        return await self.monitor(request)
