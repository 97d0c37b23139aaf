"""The parts that are played: a shop that calls, a privacy officer, and identity, which speaks over NATS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp
from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, purpose_pb2, purpose_pb2_grpc
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.client import Client
from rapport_chassis.settings import ClientSettings, TelemetrySettings, TlsFiles
from rapport_chassis.telemetry.setup import Telemetry

from rapport_local import access, broker, operators
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.status import EnvironmentStatus

SHOP: Final = "shop"
SHOP_MAY: Final = (
    "consent.checks.read",
    "consent.ledger.*",
    "consent.purposes.read",
    "consent.receipts.read",
)
IDENTITY: Final = "identity"
OFFICER: Final = "officer-1"
NOTICE: Final = "welcome"
_SETTLE_S: Final = 10.0


@dataclass(frozen=True)
class Cast:
    """Everybody the scenes need.

    Attributes:
        environment: Where it is played.
        telemetry: Records the shop's side of every call.
        shop: Calls the ledger, with a certificate of its own.
        office: Authors purposes and notices, with an officer behind each call.
        untraced: The shop once more, without recording, for measurements.
        identity: Identity's connection to NATS.
    """

    environment: Environment
    telemetry: Telemetry
    shop: consent_pb2_grpc.ConsentServiceAsyncStub
    office: purpose_pb2_grpc.PurposeServiceAsyncStub
    untraced: consent_pb2_grpc.ConsentServiceAsyncStub
    identity: NatsConnection

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
        async with asyncio.timeout(_SETTLE_S):
            while True:
                decision = await self.shop.CheckConsent(request)
                if decision.answer != consent_pb2.ANSWER_DENY_STALE:
                    return decision

    async def until_denied(self, entry: consent_pb2.CheckEntry) -> tuple[consent_pb2.Decision, float]:
        """Check again and again, without a token, until the person's no is known; return it and the seconds it took.

        Raises:
            TimeoutError: It is permitted for too long.
        """
        request = consent_pb2.CheckConsentRequest(entry=entry)
        began = time.perf_counter()
        async with asyncio.timeout(_SETTLE_S):
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
        Failure: The consent service or NATS does not run.
    """
    consent, nats = status.process("consent"), status.process("nats")
    if consent is None or nats is None:
        raise Failure("the consent service does not run")
    telemetry = Telemetry.start(
        TelemetrySettings(folder=environment.telemetry, sampling=1.0), service=SHOP, version="", environment="local"
    )
    off = Telemetry.off()
    office_files = access.tls_files(environment, access.CLI)
    token = operators.token_for(
        environment,
        operators.log_in(environment, OFFICER, ["officer"]),
        service="consent",
        presenter=office_files,
    )
    shop = Client(_settings(environment, consent.address, SHOP), telemetry=telemetry)
    office = Client(_settings(environment, consent.address, access.CLI), telemetry=telemetry)
    untraced = Client(_settings(environment, consent.address, SHOP), telemetry=off)
    identity = NatsConnection(broker.settings_for(environment, f"tls://{nats.address}", IDENTITY), user=IDENTITY)
    await identity.start()
    try:
        yield Cast(
            environment,
            telemetry,
            shop.stub(consent_pb2_grpc.ConsentServiceStub),
            office.stub(purpose_pb2_grpc.PurposeServiceStub, actor_token=token),
            untraced.stub(consent_pb2_grpc.ConsentServiceStub),
            identity,
        )
    finally:
        await identity.stop()
        for client in (shop, office, untraced):
            await client.close()
        telemetry.shutdown()


def person() -> str:
    """Return the id of a person of whom nothing is known."""
    return new_id("profile")


def request_id() -> str:
    """Return an id that makes a repeated request safe."""
    return str(uuid4())


def timestamp(when: datetime) -> Timestamp:
    """Return a time as a message."""
    made = Timestamp()
    made.FromDatetime(when.astimezone(UTC))
    return made


def terms(
    basis: purpose_pb2.LegalBasis.ValueType, *, brand_scoped: bool = False, direct_marketing: bool = False
) -> purpose_pb2.PurposeTerms:
    """Return terms with one basis for all data and markets."""
    return purpose_pb2.PurposeTerms(
        bases=[purpose_pb2.BasisRule(basis=basis)], brand_scoped=brand_scoped, direct_marketing=direct_marketing
    )


def grant(profile_id: str, purpose_id: str, brand_id: str = "") -> consent_pb2.RecordConsentRequest:
    """Return what a shop records when a person has ticked a box below the notice."""
    return consent_pb2.RecordConsentRequest(
        request_id=request_id(),
        profile_id=profile_id,
        items=[
            consent_pb2.ConsentItem(purpose_id=purpose_id, brand_id=brand_id, choice=consent_pb2.CONSENT_CHOICE_GRANT)
        ],
        notice_id=NOTICE,
        notice_version=1,
        locale="en",
        market="DE",
        evidence=consent_pb2.Evidence(
            captured=consent_pb2.CapturedEvidence(surface="checkout/step-2", method=consent_pb2.CAPTURE_METHOD_CHECKBOX)
        ),
    )


def _settings(environment: Environment, address: str, client: str) -> ClientSettings:
    files = access.tls_files(environment, client)
    tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
    return ClientSettings(target=address, tls=tls)
