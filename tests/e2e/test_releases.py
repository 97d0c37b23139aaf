"""Clients and events of other releases: what is unknown is passed over, what is missing is done without."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import events_pb2, ingest_pb2
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import decode
from rapport_chassis.times import stamp
from rapport_local import access
from rapport_local.calling import channel_to
from suite import Suite
from suite_authoring import ANALYTICS, EMAIL, NORTH
from suite_calls import events_known
from suite_calm import Calm
from suite_shop import SHOP, Shop, open_shop, request_id, until
from suite_state import unsettled
from suite_streams import Streams

NEWER_FIELD = b"\xfa\x3f\x05later"  # number 1023, text
NEWER_ENUM = 77


async def raw_call(suite: Suite, service: str, method: str, request: bytes) -> bytes:
    """Call as a client that was made from other contracts."""
    files = access.tls_files(suite.environment, SHOP)
    async with channel_to(suite.address(service), files) as channel:
        call: Any = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        answer: bytes = await call(request, timeout=10)
    return answer


def grown(message: Message) -> bytes:
    """A message as a newer release would send it: with a field that this one does not know."""
    return message.SerializeToString() + NEWER_FIELD


async def test_a_client_of_a_newer_release_is_answered_as_one_of_this(suite: Suite, calm: Calm) -> None:
    entry = consent_pb2.CheckEntry(profile_id=calm.ids["5"]["crm"], purpose_id=EMAIL, brand_id=NORTH)
    request = consent_pb2.CheckConsentRequest(entry=entry)
    answer = await raw_call(suite, "consent", "/rapport.consent.v1.ConsentService/CheckConsent", grown(request))
    assert consent_pb2.Decision.FromString(answer).answer == consent_pb2.ANSWER_PERMIT

    visit = calm.people["5"].touchpoint("crm", "of a newer client", calm.base)
    ingest = ingest_pb2.IngestTouchpointRequest(request_id=request_id(), touchpoint=visit)
    answer = await raw_call(suite, "identity", "/rapport.identity.v1.TouchpointService/IngestTouchpoint", grown(ingest))
    assert ingest_pb2.IngestedTouchpoint.FromString(answer).outcome == ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED


async def test_a_wish_that_is_not_known_is_refused_and_never_guessed(suite: Suite, calm: Calm) -> None:
    entry = consent_pb2.CheckEntry(profile_id=calm.ids["5"]["crm"], purpose_id=EMAIL, brand_id=NORTH)
    request = consent_pb2.CheckConsentRequest(entry=entry, consistency=NEWER_ENUM)  # type: ignore[arg-type] # newer
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await raw_call(suite, "consent", "/rapport.consent.v1.ConsentService/CheckConsent", request.SerializeToString())
    assert decode(refused.value).reason.name == "INVALID_REQUEST"


def told(calm: Calm, number: str, *, newer: bool) -> events_pb2.TouchpointRecorded:
    """A visit as identity tells of it; of an older release only what has to be there."""
    message = events_pb2.TouchpointRecorded()
    message.fact.fact_id, message.fact.profile_id = new_id("fact"), calm.ids[number]["crm"]
    message.fact.owner_version = 1
    message.touchpoint.purpose_ids.append(ANALYTICS)
    message.touchpoint.occurred_at.CopyFrom(stamp(calm.base - timedelta(days=3)))
    message.touchpoint.viewed.SetInParent()
    message.recorded_at.CopyFrom(stamp(calm.base))
    message.touchpoint.channel = NEWER_ENUM if newer else 1  # type: ignore[assignment] # a channel to come
    return message


async def publish(suite: Suite, event: Event, payload: bytes) -> None:
    async with Streams(suite).api("identity") as api:
        await api.publish(event.subject, payload, event.headers())


async def test_events_of_older_and_newer_releases_are_handled_and_none_is_given_up(suite: Suite, calm: Calm) -> None:
    profile_id, streams = calm.ids["5"]["crm"], Streams(suite)
    async with open_shop(suite) as shop:
        await until(lambda: unsettled(suite), lambda left: not left, every_s=0.3, what="what was before is handled")
        before, dead = await events_known(shop, profile_id), await streams.dead()
        older, newer = told(calm, "5", newer=False), told(calm, "5", newer=True)
        for message, payload in ((older, older.SerializeToString()), (newer, grown(newer))):
            await publish(suite, event_of(message, source="identity", occurred_at=calm.base), payload)
        # An event of a kind that is to come, on a subject that nobody reads yet, and one that nobody asked for.
        unknown = event_of(older, source="identity", occurred_at=calm.base)._replace(
            type="rapport.identity.v1.profile_admired"
        )
        await publish(suite, unknown, NEWER_FIELD)
        await known(shop, profile_id, before + 2)
        await until(streams.undelivered, lambda left: not left, every_s=0.3, what="everything is handled")
        assert await events_known(shop, profile_id) == before + 2
        assert await streams.dead() == dead


async def known(shop: Shop, profile_id: str, events: int) -> None:
    await until(lambda: events_known(shop, profile_id), lambda found: found >= events, what="both are known")
