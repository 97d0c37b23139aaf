"""Notification stands alone: before its tables, and with identity or the consent service away."""

from __future__ import annotations

import asyncio
from pathlib import Path

from grpc_health.v1 import health_pb2
from notification_desk import Desk, message, open_desk
from notification_installation import EDITOR, NOTIFICATION, OFFICE, SHOP, NotificationInstallation
from rapport.notification.v1 import events_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually


async def says(desk: Desk, role: str, *, serving: bool) -> bool:
    """Whether a role says that it is ready, or that it is not."""
    try:
        answer = await desk.health.Check(health_pb2.HealthCheckRequest(service=role))
    except RemoteError:
        return False
    return (answer.status == health_pb2.HealthCheckResponse.SERVING) is serving


async def test_it_turns_ready_alone_and_what_it_cannot_know_yet_waits(tmp_path: Path) -> None:
    installation = NotificationInstallation(NOTIFICATION, tmp_path / "early")
    installation.grant(SHOP, ["notification.*"])
    installation.grant(OFFICE, ["notification.*"])
    installation.grant_role(EDITOR, ["notification.*"])
    await asyncio.to_thread(installation.start, provisioned=False, migrated=False)
    await asyncio.to_thread(installation.ledger.pause)
    service = installation.process()
    try:
        await asyncio.to_thread(service.start)
        async with open_desk(installation) as desk:
            person = installation.person()
            assert await says(desk, "api", serving=False)
            with refused("NOT_READY"):
                await desk.send(message(person))
            await asyncio.to_thread(installation.migrate)
            await desk.until_ready()
            assert await says(desk, "relay", serving=False)
            await desk.template()
            notification_id = await desk.send(message(person))
            held = await desk.becomes(notification_id, "HELD")
            assert held.hold_reason == events_pb2.HOLD_REASON_CONSENT_STALE

            installation.book.away = True
            await asyncio.to_thread(installation.ledger.resume)

            async def waits_for_an_address() -> bool:
                record = await desk.get(notification_id)
                return record.hold_reason == events_pb2.HOLD_REASON_PROVIDER

            await eventually(waits_for_an_address, timeout_s=30)
            installation.book.undecided = 1
            installation.book.away = False
            await desk.becomes(notification_id, "SENT", timeout_s=30)
            assert installation.book.undecided == 0
            assert len(installation.mails(person)) == 1
    finally:
        await asyncio.to_thread(service.kill)
        await asyncio.to_thread(installation.stop)
