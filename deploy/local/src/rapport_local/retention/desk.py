"""The calls that retention makes, each with whoever is logged in behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from google.longrunning import operations_pb2_grpc
from rapport.churn.v1 import churn_pb2_grpc, model_pb2_grpc
from rapport.notification.v1 import notification_pb2_grpc, template_pb2_grpc, trigger_pb2_grpc
from rapport.pricing.v1 import catalog_pb2_grpc, pricing_pb2_grpc

from rapport_local.calling import stub_of
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.operators import current_login
from rapport_local.status import EnvironmentStatus


@dataclass(frozen=True)
class Desk:
    """Stubs of the services that are called."""

    models: model_pb2_grpc.ModelServiceAsyncStub
    operations: Any
    churn: churn_pb2_grpc.ChurnServiceAsyncStub
    catalog: catalog_pb2_grpc.CatalogServiceAsyncStub
    prices: pricing_pb2_grpc.PricingServiceAsyncStub
    templates: template_pb2_grpc.TemplateServiceAsyncStub
    triggers: trigger_pb2_grpc.TriggerServiceAsyncStub
    messages: notification_pb2_grpc.NotificationServiceAsyncStub


@asynccontextmanager
async def open_desk(environment: Environment, status: EnvironmentStatus) -> AsyncIterator[Desk]:
    """Open what is called, for a few minutes.

    Raises:
        Failure: Nobody is logged in, or a service does not run.
    """
    operator = current_login(environment)
    if operator is None:
        raise Failure("a person must stand behind this", hint="rapport login NAME --role administrator")
    async with AsyncExitStack() as stack:

        async def stub(service: str, made: Any) -> Any:
            return await stack.enter_async_context(stub_of(environment, status, service, made, operator=operator))

        yield Desk(
            await stub("churn", model_pb2_grpc.ModelServiceStub),
            await stub("churn", operations_pb2_grpc.OperationsStub),
            await stub("churn", churn_pb2_grpc.ChurnServiceStub),
            await stub("pricing", catalog_pb2_grpc.CatalogServiceStub),
            await stub("pricing", pricing_pb2_grpc.PricingServiceStub),
            await stub("notification", template_pb2_grpc.TemplateServiceStub),
            await stub("notification", trigger_pb2_grpc.TriggerServiceStub),
            await stub("notification", notification_pb2_grpc.NotificationServiceStub),
        )


def request_id() -> str:
    """Return an id that makes a repeated request safe."""
    return str(uuid4())
