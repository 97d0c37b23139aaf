"""One service is replaced by another process of itself while everybody calls it: no request fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import pytest
from rapport.churn.v1 import churn_pb2, churn_pb2_grpc
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc
from rapport.identity.v1 import ingest_pb2, ingest_pb2_grpc
from rapport.notification.v1 import notification_pb2, notification_pb2_grpc
from rapport.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from rapport_chassis.rpc.client import Client
from rapport_chassis.settings import ClientSettings, TlsFiles
from rapport_chassis.telemetry.setup import Telemetry
from rapport_local import access
from rapport_testing.waiting import eventually
from suite import SERVICE_NAMES, Suite
from suite_authoring import DELIVERY, MARKET, PRODUCT
from suite_calm import Calm
from suite_people import Person
from suite_shop import SHOP, request_id

CALLERS = 4

Call = Callable[[], Awaitable[Any]]


def balanced(suite: Suite, *addresses: str) -> Client:
    """A client that knows both processes, as one behind a name with several addresses does."""
    files = access.tls_files(suite.environment, SHOP)
    tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
    target = f"ipv4:{','.join(addresses)}"
    return Client(ClientSettings(target=target, tls=tls, server_name="localhost"), telemetry=Telemetry.off())


def call_of(service: str, client: Client, person: Person, profile_id: str) -> Call:
    """What is asked of a service again and again: of one that writes, a write."""
    numbers = count()
    if service == "consent":
        entry = consent_pb2.CheckEntry(profile_id=profile_id, purpose_id=DELIVERY)
        asked = consent_pb2.CheckConsentRequest(entry=entry)
        return lambda: client.stub(consent_pb2_grpc.ConsentServiceStub).CheckConsent(asked)
    if service == "identity":

        def visit() -> Awaitable[Any]:
            # Not an order: who buys is no longer about to leave, and keeps no offer that other tests go on with.
            raw = person.touchpoint("crm", f"upgrade-{next(numbers)}", person.base)
            request = ingest_pb2.IngestTouchpointRequest(request_id=request_id(), touchpoint=raw)
            return client.stub(ingest_pb2_grpc.TouchpointServiceStub).IngestTouchpoint(request)

        return visit
    if service == "churn":
        ranked = churn_pb2.RankProfilesRequest(page_size=5, order=churn_pb2.RANK_ORDER_CHURN)
        return lambda: client.stub(churn_pb2_grpc.ChurnServiceStub).RankProfiles(ranked)
    if service == "pricing":
        quote = pricing_pb2.GetQuoteRequest(market=MARKET)
        quote.lines.add(product_id=PRODUCT, quantity=1)
        return lambda: client.stub(pricing_pb2_grpc.PricingServiceStub).GetQuote(quote)
    listed = notification_pb2.ListNotificationsRequest(recipient_id=profile_id)
    return lambda: client.stub(notification_pb2_grpc.NotificationServiceStub).ListNotifications(listed)


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_a_service_is_upgraded_alone_under_load_without_a_failed_request(
    suite: Suite, calm: Calm, service: str
) -> None:
    person, profile_id = calm.people["1"], calm.ids["1"]["crm"]
    first = suite.address(service)
    second = await asyncio.to_thread(suite.replica, service)
    answered: Counter[str] = Counter()
    phase = "both"
    ended = asyncio.Event()

    async def keep_calling(call: Call) -> None:
        while not ended.is_set():
            during = phase
            await call()  # whatever is not answered well ends the test
            answered[during] += 1

    async def once_answered(name: str) -> None:
        await eventually(lambda: answered[name] >= 2 * CALLERS, 30)

    async with AsyncExitStack() as stack:
        clients = [balanced(suite, first, second) for _ in range(CALLERS)]
        for client in clients:
            stack.push_async_callback(client.close)
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(keep_calling(call_of(service, client, person, profile_id)))
            await once_answered("both")
            await asyncio.to_thread(suite.halt, service)
            phase = "upgraded"
            await once_answered("upgraded")
            await asyncio.to_thread(suite.resume, service)
            await asyncio.to_thread(suite.halt, f"{service} replica")
            phase = "back"
            await once_answered("back")
            ended.set()
    assert set(answered) == {"both", "upgraded", "back"}
