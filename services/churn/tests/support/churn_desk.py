"""The churn service as its callers have it: short words for long requests, through the public client alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from churn_events import days_ago, order
from churn_installation import ANALYST, OFFICE, PROFILING, SHOP, STREAM, ChurnInstallation
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rapport.churn.v1 import churn_pb2, churn_pb2_grpc, events_pb2, model_pb2, model_pb2_grpc, score_pb2
from rapport_chassis.events.envelope import Event
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp
from rapport_testing.waiting import eventually


def request_id() -> str:
    """A request id that was never used."""
    return str(uuid4())


@dataclass(frozen=True)
class Desk:
    """A place from which the service is called: by a shop, and by an analyst who is a person.

    Attributes:
        installation: The servers.
        shop: Calls with the certificate of a service.
        office: Calls with that of an office and the token of an analyst.
        models: Looks after models, as the analyst does.
        operations: Asks for long work.
        health: Asks for readiness.
    """

    installation: ChurnInstallation
    shop: churn_pb2_grpc.ChurnServiceAsyncStub
    office: churn_pb2_grpc.ChurnServiceAsyncStub
    models: model_pb2_grpc.ModelServiceAsyncStub
    operations: Any
    health: health_pb2_grpc.HealthAsyncStub  # type: ignore[name-defined]

    async def tell(self, *events: Event) -> None:
        """Publish what other contexts tell, as their relays do."""
        await self.installation.broker().publish(*events)

    async def customer(self, *ago: float, pounds: int = 20, permitted: bool = True) -> str:
        """A customer who bought so many days ago, and may be profiled; known to the service when this returns."""
        who = new_id("profile")
        if permitted:
            self.installation.ledger.grant(who, PROFILING)
        await self.tell(*(order(who, days_ago(each), pounds) for each in ago))
        if permitted and ago:
            await self.until_known(who, len(ago))
        return who

    async def until_known(self, who: str, events: int) -> score_pb2.FeatureVector:
        """Wait until so many events of a customer are known."""

        async def known() -> score_pb2.FeatureVector | None:
            try:
                found = await self.features(who)
            except RemoteError as error:
                if error.reason.name not in {"NOTHING_KNOWN", "PROFILING_DENIED", "PERMISSION_UNKNOWN"}:
                    raise
                return None
            return found if found.events == events else None

        return await eventually(known, timeout_s=20)

    async def score(self, who: str, **more: Any) -> score_pb2.Score:
        """Score a customer."""
        return await self.shop.ScoreProfile(churn_pb2.ScoreProfileRequest(profile_id=who, **more))

    async def explain(self, decision_id: str) -> score_pb2.ScoreExplanation:
        """Explain a score."""
        return await self.shop.ExplainScore(churn_pb2.ExplainScoreRequest(decision_id=decision_id))

    async def features(self, who: str, as_of: datetime | None = None) -> score_pb2.FeatureVector:
        """Return features."""
        request = churn_pb2.GetFeaturesRequest(profile_id=who)
        if as_of is not None:
            request.as_of.CopyFrom(stamp(as_of))
        return await self.office.GetFeatures(request)

    async def until_refused(self, who: str, reason: str) -> RemoteError:
        """Wait until scoring is refused for this reason."""

        async def so() -> RemoteError | None:
            try:
                await self.score(who)
            except RemoteError as error:
                return error if error.reason.name == reason else None
            return None

        return await eventually(so, timeout_s=20)

    async def promote(
        self, model_id: str, role: int = events_pb2.MODEL_ROLE_CHAMPION, *, named: str = "", **more: Any
    ) -> model_pb2.Model:
        """Give a model a role."""
        return await self.models.PromoteModel(
            model_pb2.PromoteModelRequest(
                request_id=named or request_id(),
                model_id=model_id,
                role=role,  # type: ignore[arg-type] # a number of the contract
                reason="tested",
                **more,
            )
        )

    async def until_serving(self, model_id: str, who: str) -> score_pb2.Score:
        """Wait until a model serves."""

        async def so() -> score_pb2.Score | None:
            try:
                found = await self.score(who)
            except RemoteError:
                return None
            return found if found.model_id == model_id else None

        return await eventually(so, timeout_s=20)

    async def ended(self, operation: operations_pb2.Operation) -> operations_pb2.Operation:
        """Return an operation when it has ended."""
        while not operation.done:
            operation = await self.operations.WaitOperation(
                operations_pb2.WaitOperationRequest(name=operation.name, timeout=Duration(seconds=5))
            )
        return operation

    async def told(self, who: str) -> list[Any]:
        """What was published about a customer, and is still in the stream, in order."""
        kinds: dict[str, Any] = {
            "score_updated": events_pb2.ScoreUpdated,
            "risk_raised": events_pb2.RiskRaised,
            "risk_cleared": events_pb2.RiskCleared,
        }
        found: list[Any] = []
        for message in await self.installation.broker().stored(STREAM):
            kind = kinds.get(message.subject.split(".")[3])
            if kind is not None and (event := kind.FromString(message.data)).profile_id == who:
                found.append(event)
        return found

    async def until_ready(self) -> None:
        """Wait until every role is ready."""

        async def serving() -> bool:
            try:
                answers = [
                    await self.health.Check(health_pb2.HealthCheckRequest(service=name))
                    for name in ("api", "events", "relay")
                ]
            except RemoteError:
                return False
            return all(each.status == health_pb2.HealthCheckResponse.SERVING for each in answers)

        await eventually(serving, timeout_s=30)


@asynccontextmanager
async def open_desk(
    installation: ChurnInstallation, *, process: str = "service", deadline_s: float = 10.0
) -> AsyncIterator[Desk]:
    """Call a process of the service."""
    shop = installation.client(SHOP, process=process, deadline_s=deadline_s)
    office = installation.client(OFFICE, process=process, deadline_s=deadline_s)
    token = installation.actor_token(OFFICE, roles=[ANALYST])
    try:
        yield Desk(
            installation,
            shop.stub(churn_pb2_grpc.ChurnServiceStub),
            office.stub(churn_pb2_grpc.ChurnServiceStub, actor_token=token),
            office.stub(model_pb2_grpc.ModelServiceStub, actor_token=token),
            office.stub(operations_pb2_grpc.OperationsStub, actor_token=token),
            shop.stub(health_pb2_grpc.HealthStub),
        )
    finally:
        await shop.close()
        await office.close()
