"""The parts that are played: a shop that calls, privacy officers, a steward, an analyst, a buyer and an editor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from google.longrunning import operations_pb2_grpc
from rapport.churn.v1 import churn_pb2_grpc, model_pb2_grpc
from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, privacy_pb2_grpc, purpose_pb2_grpc
from rapport.identity.v1 import identity_pb2_grpc, ingest_pb2_grpc
from rapport.notification.v1 import (
    notification_pb2_grpc,
    preference_pb2_grpc,
    template_pb2_grpc,
    trigger_pb2_grpc,
)
from rapport.pricing.v1 import catalog_pb2_grpc, pricing_pb2_grpc
from rapport_chassis.events.jetstream import JetStreamApi
from rapport_chassis.rpc.client import Client
from rapport_chassis.rpc.deadlines import DeadlineTable
from rapport_chassis.settings import ClientSettings, TelemetrySettings, TlsFiles
from rapport_chassis.telemetry.setup import Telemetry

from rapport_local import access, broker, operators
from rapport_local.demo.asking import ASK_AGAIN_S, SETTLE_S, grant
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.status import EnvironmentStatus

SHOP: Final = "shop"
SHOP_MAY: Final = (
    "churn.features.read",
    "churn.ranks.read",
    "churn.scores.create",
    "consent.checks.read",
    "consent.ledger.*",
    "consent.purposes.read",
    "consent.receipts.read",
    "identity.profiles.*",
    "identity.records.write",
    "identity.relations.read",
    "identity.touchpoints.write",
    "notification.explanations.read",
    "notification.messages.*",
    "notification.preferences.*",
    "pricing.quotes.*",
)
OFFICER: Final = "officer-1"
SECOND_OFFICER: Final = "officer-2"
STEWARD: Final = "steward-1"
ANALYST: Final = "analyst-1"
BUYER: Final = "buyer-1"
EDITOR: Final = "editor-1"


@dataclass(frozen=True)
class Cast:
    """Everybody the scenes need.

    Attributes:
        environment: Where it is played.
        telemetry: Records the shop's side of every call.
        shop: Calls the ledger, with a certificate of its own.
        office: Authors purposes and notices, with an officer behind each call.
        untraced: The shop once more, without recording, for measurements.
        identity: Sends records to identity, and asks for profiles, with the shop's certificate.
        touchpoints: Sends touchpoints, with the same one.
        measured: Identity once more, without recording.
        steward: Explains and decides, with a steward behind each call.
        churn: Asks who is about to leave, with the shop's certificate.
        models: Trains models.
        analyst: Lets models serve, with an analyst behind each call.
        operations: Waits for trainings.
        till: Asks for prices and sells, with the shop's certificate.
        buyer: Authors prices, with a buyer behind each call.
        prices: Asks for offers and explanations.
        messages: Writes to customers, with the shop's certificate.
        templates: Authors templates, with an editor behind each call.
        triggers: Authors triggers, with the same.
        rules: Authors caps, with the same.
        preferences: Says what customers want to hear of, with the shop's certificate.
        requests: Sees to privacy requests, with an officer behind each call.
        approves: Approves them, with another officer.
        streams: Looks at what is published.
    """

    environment: Environment
    telemetry: Telemetry
    shop: consent_pb2_grpc.ConsentServiceAsyncStub
    office: purpose_pb2_grpc.PurposeServiceAsyncStub
    untraced: consent_pb2_grpc.ConsentServiceAsyncStub
    identity: identity_pb2_grpc.IdentityServiceAsyncStub
    touchpoints: ingest_pb2_grpc.TouchpointServiceAsyncStub
    measured: identity_pb2_grpc.IdentityServiceAsyncStub
    steward: identity_pb2_grpc.IdentityServiceAsyncStub
    churn: churn_pb2_grpc.ChurnServiceAsyncStub
    models: model_pb2_grpc.ModelServiceAsyncStub
    analyst: model_pb2_grpc.ModelServiceAsyncStub
    operations: Any
    till: pricing_pb2_grpc.PricingServiceAsyncStub
    buyer: catalog_pb2_grpc.CatalogServiceAsyncStub
    prices: pricing_pb2_grpc.PricingServiceAsyncStub
    messages: notification_pb2_grpc.NotificationServiceAsyncStub
    templates: template_pb2_grpc.TemplateServiceAsyncStub
    triggers: trigger_pb2_grpc.TriggerServiceAsyncStub
    rules: preference_pb2_grpc.PreferenceServiceAsyncStub
    preferences: preference_pb2_grpc.PreferenceServiceAsyncStub
    requests: privacy_pb2_grpc.PrivacyRequestServiceAsyncStub
    approves: privacy_pb2_grpc.PrivacyRequestServiceAsyncStub
    streams: JetStreamApi

    async def check_ledger(self, entry: consent_pb2.CheckEntry) -> consent_pb2.Decision:
        """Ask the ledger itself whether an effect is allowed."""
        return await self.shop.CheckConsent(
            consent_pb2.CheckConsentRequest(entry=entry, consistency=consent_pb2.CONSISTENCY_AUTHORITY)
        )

    async def check(
        self, entry: consent_pb2.CheckEntry, at_least: freshness_pb2.LedgerPosition | None = None
    ) -> consent_pb2.Decision:
        """Ask whether an effect is allowed, from memory; with a token, as soon as the answer knows that write."""
        request = consent_pb2.CheckConsentRequest(entry=entry, at_least=at_least)
        async with asyncio.timeout(SETTLE_S):
            while True:
                decision = await self.shop.CheckConsent(request)
                if decision.answer != consent_pb2.ANSWER_DENY_STALE:
                    return decision
                await asyncio.sleep(ASK_AGAIN_S)

    async def until_denied(self, entry: consent_pb2.CheckEntry) -> tuple[consent_pb2.Decision, float]:
        """Check again and again, without a token, until the person's no is known; return it and the seconds it took.

        Raises:
            TimeoutError: It is permitted for too long.
        """
        request = consent_pb2.CheckConsentRequest(entry=entry)
        began = time.perf_counter()
        async with asyncio.timeout(SETTLE_S):
            while True:
                decision = await self.untraced.CheckConsent(request)
                if decision.answer == consent_pb2.ANSWER_DENY:
                    return decision, time.perf_counter() - began

    async def record(self, profile_id: str, purpose_id: str, brand_id: str = "") -> consent_pb2.LedgerWrite:
        """Record that a person ticked a box below the notice."""
        return await self.shop.RecordConsent(grant(profile_id, purpose_id, brand_id))


@asynccontextmanager
async def cast(environment: Environment, status: EnvironmentStatus) -> AsyncIterator[Cast]:
    """Give everybody a certificate, a login or a connection.

    Raises:
        Failure: A service or NATS does not run.
    """
    consent, nats = status.process("consent"), status.process("nats")
    identity, churn, pricing = (status.process(name) for name in ("identity", "churn", "pricing"))
    notification = status.process("notification")
    if consent is None or nats is None or identity is None or churn is None or pricing is None or notification is None:
        raise Failure("not every service runs")
    telemetry = Telemetry.start(
        TelemetrySettings(folder=environment.telemetry, sampling=1.0), service=SHOP, version="", environment="local"
    )
    officer = operators.log_in(environment, OFFICER, ["officer"])
    steward = operators.Login(subject=STEWARD, roles=["steward"], auth_time=datetime.now(UTC))
    analyst = operators.Login(subject=ANALYST, roles=["analyst"], auth_time=datetime.now(UTC))
    buyer = operators.Login(subject=BUYER, roles=["buyer"], auth_time=datetime.now(UTC))
    second = operators.Login(subject=SECOND_OFFICER, roles=["officer"], auth_time=datetime.now(UTC))
    editor = operators.Login(subject=EDITOR, roles=["editor"], auth_time=datetime.now(UTC))
    async with AsyncExitStack() as stack:
        stack.callback(telemetry.shutdown)

        def client(address: str, name: str, records: Telemetry = telemetry) -> Client:
            patient = DeadlineTable(default_s=SETTLE_S)
            made = Client(_settings(environment, address, name), telemetry=records, deadlines=patient)
            stack.push_async_callback(made.close)
            return made

        def acting(caller: Client, made: Any, login: operators.Login, service: str) -> Any:
            return _Acting(lambda: caller.stub(made, actor_token=_token(environment, login, service)))

        shop = client(consent.address, SHOP)
        untraced = client(consent.address, SHOP, Telemetry.off())
        office = client(consent.address, access.CLI)
        counter = client(identity.address, SHOP)
        measured = client(identity.address, SHOP, Telemetry.off())
        desk = client(identity.address, access.CLI)
        seller = client(churn.address, SHOP)
        workshop = client(churn.address, access.CLI)
        till = client(pricing.address, SHOP)
        purchasing = client(pricing.address, access.CLI)
        writer = client(notification.address, SHOP)
        desk_of_editor = client(notification.address, access.CLI)
        yield Cast(
            environment,
            telemetry,
            shop.stub(consent_pb2_grpc.ConsentServiceStub),
            acting(office, purpose_pb2_grpc.PurposeServiceStub, officer, "consent"),
            untraced.stub(consent_pb2_grpc.ConsentServiceStub),
            counter.stub(identity_pb2_grpc.IdentityServiceStub),
            counter.stub(ingest_pb2_grpc.TouchpointServiceStub),
            measured.stub(identity_pb2_grpc.IdentityServiceStub),
            acting(desk, identity_pb2_grpc.IdentityServiceStub, steward, "identity"),
            seller.stub(churn_pb2_grpc.ChurnServiceStub),
            workshop.stub(model_pb2_grpc.ModelServiceStub),
            acting(workshop, model_pb2_grpc.ModelServiceStub, analyst, "churn"),
            workshop.stub(operations_pb2_grpc.OperationsStub),
            till.stub(pricing_pb2_grpc.PricingServiceStub),
            acting(purchasing, catalog_pb2_grpc.CatalogServiceStub, buyer, "pricing"),
            purchasing.stub(pricing_pb2_grpc.PricingServiceStub),
            writer.stub(notification_pb2_grpc.NotificationServiceStub),
            acting(desk_of_editor, template_pb2_grpc.TemplateServiceStub, editor, "notification"),
            acting(desk_of_editor, trigger_pb2_grpc.TriggerServiceStub, editor, "notification"),
            acting(desk_of_editor, preference_pb2_grpc.PreferenceServiceStub, editor, "notification"),
            writer.stub(preference_pb2_grpc.PreferenceServiceStub),
            acting(office, privacy_pb2_grpc.PrivacyRequestServiceStub, officer, "consent"),
            acting(office, privacy_pb2_grpc.PrivacyRequestServiceStub, second, "consent"),
            await stack.enter_async_context(broker.connected(environment, nats.address)),
        )


class _Acting:
    """A stub with an operator behind each call, shown by a token of its own: one is good for minutes only."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __getattr__(self, method: str) -> Any:
        return getattr(self._make(), method)


def _token(environment: Environment, login: operators.Login, service: str) -> str:
    return operators.token_for(environment, login, service=service, presenter=access.tls_files(environment, access.CLI))


def _settings(environment: Environment, address: str, client: str) -> ClientSettings:
    files = access.tls_files(environment, client)
    tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
    return ClientSettings(target=address, tls=tls)
