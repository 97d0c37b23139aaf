"""Deployed alone means ready alone; what is away takes nothing else with it, and all recover by themselves."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from grpc_health.v1 import health_pb2
from identity_desk import (
    EMAIL,
    IDENTITY,
    OFFICE,
    ROLES,
    SHOP,
    STEWARD,
    Desk,
    IdentityInstallation,
    identifier,
    open_desk,
    record,
    start_installation,
)
from rapport.identity.v1 import events_pb2, identity_pb2, ingest_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.free_ports import free_port
from rapport_testing.process import ServiceProcess
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.heavy

CREATED, UNCHANGED = identity_pb2.RECORD_OUTCOME_CREATED, identity_pb2.RECORD_OUTCOME_UNCHANGED
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
STREAM = "RAPPORT_IDENTITY"
OFTEN = "0.1"
ANALYTICS, DELIVERY = "analytics.visits", "order.delivery"


def somebody() -> record_pb2.Record:
    """A record of somebody who shares neither name nor address with anybody."""
    given, surname = ("".join(secrets.choice("bcdfghjklmnprstvwz") for _ in range(9)).capitalize() for _ in range(2))
    return record(f"{given} {surname}", identifier(EMAIL, f"a{uuid4().hex[:11]}@posteo.net"))


async def says(desk: Desk, role: str, state: int) -> bool:
    """Whether a role says this of itself."""
    return (await desk.health.Check(health_pb2.HealthCheckRequest(service=role))).status == state


async def taken_in(desk: Desk, made: record_pb2.Record) -> identity_pb2.ResolvedRecord:
    """Take in a record as soon as it is possible, by one request."""
    named = str(uuid4())

    async def taken() -> identity_pb2.ResolvedRecord | None:
        try:
            return await desk.resolve(made, named)
        except RemoteError as error:
            if error.reason.name not in ("NOT_READY", "DEADLINE_EXCEEDED"):
                raise
            return None

    found = await eventually(taken, timeout_s=30)
    assert found is not None
    return found


async def published(installation: IdentityInstallation, profile_id: str) -> None:
    """Wait until an event about a profile is in the stream."""
    broker = installation.broker()

    async def there() -> bool:
        return any(profile_id.encode() in each.data for each in await broker.stored(STREAM))

    await eventually(there, timeout_s=30)


async def ordered(desk: Desk, buyer: record_pb2.Identifier) -> ingest_pb2.IngestedTouchpoint:
    """Have somebody buy something, for the contract and for analytics."""
    made = ingest_pb2.RawTouchpoint(source="webshop", source_event_id=uuid4().hex, identifiers=[buyer])
    made.touchpoint.purpose_ids.extend([DELIVERY, ANALYTICS])
    made.touchpoint.channel, made.touchpoint.session_id = touchpoint_pb2.CHANNEL_WEB, "ses_0123456789"
    made.touchpoint.occurred_at.GetCurrentTime()
    placed = made.touchpoint.order_placed
    placed.order_id = "ord_0123456789"
    placed.lines.add(quantity=1).item.product_id = "prd_0123456789"
    placed.total.currency_code, placed.total.units = "EUR", 20
    request = ingest_pb2.IngestTouchpointRequest(request_id=str(uuid4()), touchpoint=made)
    return await desk.touchpoints.IngestTouchpoint(request)


async def told_for(installation: IdentityInstallation, fact_id: str, *purpose_ids: list[str]) -> None:
    """Wait until a fact has been told so often, each time for these purposes."""
    broker = installation.broker()

    async def so() -> bool:
        told = [
            events_pb2.TouchpointRecorded.FromString(each.data).touchpoint
            for each in await broker.stored(STREAM)
            if fact_id.encode() in each.data
        ]
        return [list(each.purpose_ids) for each in told] == list(purpose_ids)

    await eventually(so, timeout_s=30)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[IdentityInstallation, ServiceProcess]]:
    """Servers that these tests stop and start, and a process of the service."""
    installation = start_installation(tmp_path_factory.mktemp("independence"))
    service = installation.process(grpc__port=str(free_port()), gate__head_every_s=OFTEN)
    try:
        service.start()
        yield installation, service
    finally:
        service.kill()
        installation.stop()


@pytest.fixture
async def desk(alone: tuple[IdentityInstallation, ServiceProcess]) -> AsyncIterator[Desk]:
    """Where the service is called from, once it is ready again."""
    async with open_desk(alone[0], deadline_s=5) as made:
        await made.until_serving(*ROLES)
        yield made


async def test_started_before_its_tables_and_streams_it_takes_up_both_when_they_come(tmp_path: Path) -> None:
    installation = IdentityInstallation(IDENTITY, tmp_path / "early")
    installation.grant(SHOP, ["identity.*"])
    installation.grant_role(STEWARD, ["identity.*"])
    installation.grant(OFFICE, ["identity.*"])
    await asyncio.to_thread(installation.start, provisioned=False, migrated=False)
    service = installation.process(forked=False)
    try:
        await asyncio.to_thread(service.start)
        async with open_desk(installation) as desk:
            assert await says(desk, "api", NOT_SERVING)
            with refused("NOT_READY"):
                await desk.resolve(somebody())

            await asyncio.to_thread(installation.migrate)
            await desk.until_serving("api")
            resolved = await desk.resolve(somebody())
            assert resolved.outcome == CREATED
            assert await says(desk, "relay", NOT_SERVING)

            await asyncio.to_thread(installation.provision)
            await desk.until_serving(*ROLES)
            await published(installation, resolved.profile_id)
    finally:
        await asyncio.to_thread(service.kill)
        await asyncio.to_thread(installation.stop)


async def test_with_nats_away_records_are_taken_in_and_told_of_afterwards(
    alone: tuple[IdentityInstallation, ServiceProcess], desk: Desk
) -> None:
    installation, _ = alone
    await asyncio.to_thread(installation.nats.kill)
    try:
        resolved = await desk.resolve(somebody())
        assert resolved.outcome == CREATED
        await eventually(lambda: says(desk, "relay", NOT_SERVING), timeout_s=30)
        assert await says(desk, "api", SERVING)
    finally:
        await asyncio.to_thread(installation.nats.start)
    await desk.until_serving(*ROLES)
    await published(installation, resolved.profile_id)


async def test_with_consent_away_what_is_known_is_found_and_nothing_new_is_taken_in_without_a_permit(
    alone: tuple[IdentityInstallation, ServiceProcess], desk: Desk
) -> None:
    installation, service = alone
    made, source = somebody(), f"club_{uuid4().hex[:8]}"
    await desk.declare(source, purpose_id="offers.personal")
    resolved = await desk.resolve(made)
    installation.ledger.grant(resolved.profile_id, ANALYTICS)
    await asyncio.to_thread(installation.ledger.pause)
    try:
        optional = record("Bo Lind", identifier(EMAIL, f"b{uuid4().hex[:11]}@posteo.net"), source=source)

        async def stale() -> bool:
            try:
                await desk.resolve(optional)
            except RemoteError as error:
                return error.reason.name == "NOT_READY"
            return False

        await eventually(stale, timeout_s=30)
        found = await desk.look_up(made.person.identifiers[0])
        assert found.profile_id == resolved.profile_id
        assert await says(desk, "api", SERVING)
        assert (await desk.resolve(somebody())).outcome == CREATED  # a contract, which goes on for a while
        bought = await ordered(desk, made.person.identifiers[0])
        assert bought.outcome == ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED_IN_PART
        await asyncio.to_thread(service.kill)
    finally:
        await asyncio.to_thread(installation.ledger.resume)
        if not service.is_running:
            await asyncio.to_thread(service.start)
    await desk.until_serving(*ROLES)
    # What is still to be decided outlives the process that took it in.
    await told_for(installation, bought.fact_id, [DELIVERY], [DELIVERY, ANALYTICS])


async def test_with_postgres_away_nothing_is_half_taken_in_and_it_comes_back_by_itself(
    alone: tuple[IdentityInstallation, ServiceProcess], desk: Desk
) -> None:
    installation, _ = alone
    made = somebody()
    await asyncio.to_thread(installation.postgres.kill)
    try:
        with refused("NOT_READY"):
            await desk.resolve(made)
        await eventually(lambda: says(desk, "api", NOT_SERVING), timeout_s=30)
    finally:
        await asyncio.to_thread(installation.postgres.start)
    first = await taken_in(desk, made)
    assert (await desk.resolve(made)).outcome == UNCHANGED
    assert (await desk.look_up(made.person.identifiers[0])).profile_id == first.profile_id


async def test_roles_run_as_processes_of_their_own_each_ready_for_itself(
    alone: tuple[IdentityInstallation, ServiceProcess], desk: Desk
) -> None:
    installation, service = alone
    await asyncio.to_thread(service.kill)
    processes = [
        installation.process(role, only=role, grpc__port=str(free_port()), gate__head_every_s=OFTEN) for role in ROLES
    ]
    try:
        for each in processes:
            await asyncio.to_thread(each.start)
        async with open_desk(installation, process="api") as api, open_desk(installation, process="relay") as relay:
            await api.until_serving("api", "")
            await relay.until_serving("relay", "")
            with refused("METHOD_UNKNOWN"):
                await relay.look_up(somebody().person.identifiers[0])
            resolved = await api.resolve(somebody())
            await published(installation, resolved.profile_id)
    finally:
        for each in processes:
            await asyncio.to_thread(each.kill)
        await asyncio.to_thread(service.start)
