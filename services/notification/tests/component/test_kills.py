"""A process killed at any step of a send loses no message and sends none twice, where its relay can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from notification_desk import Desk, NotificationInstallation, furnish, message, open_desk, start_installation
from rapport.notification.v1 import notification_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.free_ports import free_port
from rapport_testing.process import ServiceProcess

Alone = tuple[NotificationInstallation, ServiceProcess]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """Servers, and a process that comes back at the same address and soon takes up what it left."""
    installation = start_installation(tmp_path_factory.mktemp("kills"))
    service = installation.process(
        grpc__port=str(free_port()), dispatch__lease_s="1.5", dispatch__transfer_s="1", dispatch__margin_s="0.2"
    )
    try:
        service.start()
        furnish(installation)
        yield installation, service
    finally:
        service.kill()
        installation.stop()


@pytest.fixture
async def desk(alone: Alone) -> AsyncIterator[Desk]:
    """Where the service is called from."""
    async with open_desk(alone[0]) as made:
        await made.until_ready()
        yield made


@pytest.mark.parametrize(
    "step",
    [
        "notification.claimed=kill",
        "notification.intent.written=kill",
        "notification.handed.over=kill",
        "notification.steps.taken=kill@3",
    ],
)
async def test_a_kill_at_a_step_of_a_send_loses_nothing_and_sends_nothing_twice(
    alone: Alone, desk: Desk, step: str
) -> None:
    installation, service = alone
    person = installation.person()
    await asyncio.to_thread(service.kill)
    service.arm(step)
    await asyncio.to_thread(service.start)
    await desk.until_ready()
    asked = message(person)
    with suppress(RemoteError):  # the process may be gone before it answers
        await desk.send(asked)
    await asyncio.to_thread(service.wait_killed)
    service.arm()
    await asyncio.to_thread(service.start)
    await desk.until_ready()
    record = await desk.becomes(await desk.send(asked), "SENT", "SETTLED", timeout_s=40)
    assert record.verdict != notification_pb2.VERDICT_AMBIGUOUS
    assert len(installation.mails(person)) == 1
    assert (await desk.explain(record.notification.notification_id)).intact
