"""A shop that stands on the suite: its certificate, its people behind calls, and patience while something is down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import uuid4

from rapport.churn.v1 import churn_pb2_grpc
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc
from rapport.identity.v1 import identity_pb2_grpc, ingest_pb2_grpc
from rapport.notification.v1 import notification_pb2_grpc, preference_pb2_grpc
from rapport.pricing.v1 import pricing_pb2_grpc
from rapport_chassis.rpc.client import Client, StubClass
from rapport_chassis.rpc.deadlines import DeadlineTable
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.settings import ClientSettings, TlsFiles
from rapport_chassis.telemetry.setup import Telemetry
from rapport_local import access, operators
from suite import Suite

SHOP: Final = "shop"
SHOP_MAY: Final = (
    "churn.explanations.read",
    "churn.features.read",
    "churn.ranks.read",
    "churn.scores.create",
    "consent.checks.read",
    "consent.ledger.*",
    "identity.contact_points.read",
    "identity.profiles.*",
    "identity.records.write",
    "identity.relations.read",
    "identity.touchpoints.write",
    "notification.messages.*",
    "notification.preferences.*",
    "pricing.explanations.read",
    "pricing.offers.read",
    "pricing.quotes.*",
)
_CALL_S: Final = 5.0
_PATIENCE_S: Final = 240.0
_AGAIN_S: Final = 0.1
PASSING: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "RESOURCE_EXHAUSTED"})

T = TypeVar("T")
StubT = TypeVar("StubT")


class NotYet(Exception):
    """An answer says that the same call may succeed later."""


class Shop:
    """Calls every service with the certificate of a shop, and where a person must, with one behind the call.

    Args:
        suite: Where.
        deadline_s: How long one call may take.
    """

    def __init__(self, suite: Suite, *, deadline_s: float = _CALL_S) -> None:
        self.suite = suite
        self._deadline_s = deadline_s
        self._clients: dict[tuple[str, str], Client] = {}
        self.consent = self.stub("consent", consent_pb2_grpc.ConsentServiceStub)
        self.identity = self.stub("identity", identity_pb2_grpc.IdentityServiceStub)
        self.touchpoints = self.stub("identity", ingest_pb2_grpc.TouchpointServiceStub)
        self.churn = self.stub("churn", churn_pb2_grpc.ChurnServiceStub)
        self.pricing = self.stub("pricing", pricing_pb2_grpc.PricingServiceStub)
        self.messages = self.stub("notification", notification_pb2_grpc.NotificationServiceStub)
        self.preferences = self.stub("notification", preference_pb2_grpc.PreferenceServiceStub)

    def stub(self, service: str, stub: StubClass[StubT], *, role: str = "", address: str = "") -> StubT:
        """Return a stub of a service.

        Args:
            service: Its name.
            stub: The generated class.
            role: Of the person behind its calls, for some minutes; without, the shop itself calls.
            address: Where, if not at the service's own address.
        """
        where = address or self.suite.address(service)
        certificate = access.CLI if role else SHOP
        client = self._clients.get((where, certificate))
        if client is None:
            files = access.tls_files(self.suite.environment, certificate)
            tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
            client = self._clients[where, certificate] = Client(
                ClientSettings(target=where, tls=tls),
                telemetry=Telemetry.off(),
                deadlines=DeadlineTable(default_s=self._deadline_s),
            )
        return client.stub(stub, actor_token=self._token(service, role) if role else None)

    def _token(self, service: str, role: str) -> str:
        login = operators.Login(subject=f"{role}-1", roles=[role], auth_time=datetime.now(UTC))
        presenter = access.tls_files(self.suite.environment, access.CLI)
        return operators.token_for(self.suite.environment, login, service=service, presenter=presenter)

    async def check(self, profile_id: str, purpose_id: str, brand_id: str = "") -> consent_pb2.Decision:
        """Ask the ledger itself."""
        entry = consent_pb2.CheckEntry(profile_id=profile_id, purpose_id=purpose_id, brand_id=brand_id)
        request = consent_pb2.CheckConsentRequest(entry=entry, consistency=consent_pb2.CONSISTENCY_AUTHORITY)
        return await self.consent.CheckConsent(request)

    async def close(self) -> None:
        """Close every channel."""
        for client in self._clients.values():
            await client.close()


@asynccontextmanager
async def open_shop(suite: Suite, *, deadline_s: float = _CALL_S) -> AsyncIterator[Shop]:
    """Open a shop for the time of a test."""
    shop = Shop(suite, deadline_s=deadline_s)
    try:
        yield shop
    finally:
        await shop.close()


async def patiently(call: Callable[[], Awaitable[T]], *, within_s: float = _PATIENCE_S) -> T:
    """Make a call, the same one again while what it needs is down; what is answered otherwise is raised.

    Raises:
        RemoteError: It was refused for good, or is still not answered after `within_s` seconds.
        NotYet: The same, for one of several answers.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await call()
        except RemoteError as error:
            if error.reason.code not in PASSING or time.monotonic() > deadline:
                raise
        except NotYet:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_AGAIN_S)


async def until(
    ask: Callable[[], Awaitable[T]],
    holds: Callable[[T], Any],
    *,
    within_s: float = 60.0,
    every_s: float = 0.1,
    what: str = "",
) -> T:
    """Ask again and again until what is answered holds, and return that.

    Raises:
        AssertionError: It does not hold within `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = await ask()
        if holds(answer):
            return answer
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or holds}: {answer!r}"
        await asyncio.sleep(every_s)


def request_id() -> str:
    """Return an id that makes a repeated request safe."""
    return str(uuid4())
