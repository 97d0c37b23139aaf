"""Processes killed at any step of a send, and whatever they stand on: no message is lost, and none is sent twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import psycopg
import pytest
from notification_desk import Desk, furnish, message, open_desk
from notification_installation import NotificationInstallation, start_installation
from rapport.notification.v1 import notification_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.free_ports import free_port
from rapport_testing.process import ServiceProcess
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually

Alone = tuple[NotificationInstallation, ServiceProcess]
STEPS: Final = (
    "notification.claimed=kill",
    "notification.intent.written=kill",
    "notification.handed.over=kill",
    "notification.steps.taken=kill@3",
)
KINDS: Final = ("worker", "broker", "database", "sink")
AT_ONCE: Final = 8


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


async def test_a_kill_at_a_step_of_a_send_loses_nothing_and_sends_nothing_twice(alone: Alone, desk: Desk) -> None:
    installation, service = alone
    asked = {step: message(installation.person()) for step in STEPS}
    for step, request in asked.items():
        await asyncio.to_thread(service.kill)
        service.arm(step)
        await asyncio.to_thread(service.start, wait=False)

        async def sent_until_killed(request: notification_pb2.SendNotificationRequest = request) -> bool:
            with suppress(RemoteError):
                await desk.send(request)
            return not service.is_running

        await eventually(sent_until_killed, timeout_s=60, interval_s=0.05)
    service.arm()
    await asyncio.to_thread(service.start)
    await desk.until_ready()
    for request in asked.values():
        record = await desk.becomes(await desk.send(request), "SENT", "SETTLED", timeout_s=40)
        assert record.verdict != notification_pb2.VERDICT_AMBIGUOUS
        assert len(installation.mails(request.recipient_id)) == 1
        assert (await desk.explain(record.notification.notification_id)).intact


async def test_kills_of_worker_broker_database_and_sink_lose_nothing_and_send_nothing_twice(
    alone: Alone, desk: Desk, scale: Scale, prove, progress
) -> None:
    installation = alone[0]
    count, kills = scale.pick(small=(24, len(KINDS)), full=(20_000, 100))
    bar = progress(kills, "kills")
    asked = [message(installation.person()) for _ in range(count)]
    before = len(installation.sink.taken.mails)
    # Drawn, so that a kill comes before any step of any message, wherever everything is then.
    points = sorted(random.Random(7).sample(range(count), kills))
    sending = asyncio.create_task(_send_all(desk, asked))
    for number, point in enumerate(points):
        await eventually(partial(_has_taken, installation, before + point), timeout_s=300)
        await asyncio.to_thread(_kill, alone, KINDS[number % len(KINDS)])
        bar.advance()
    ids = await sending
    await eventually(lambda: _ended(installation, ids), timeout_s=120, interval_s=0.2)
    arrived = Counter(each.partition(".")[0] for each in installation.sink.taken.ids.elements())
    lost, twice = sum(not arrived[each] for each in ids), sum(arrived[each] > 1 for each in ids)
    prove("notification", kills_everywhere=kills, sent_everywhere=count, lost_everywhere=lost, twice_everywhere=twice)
    assert (lost, twice) == (0, 0)


async def _send_all(desk: Desk, asked: Sequence[notification_pb2.SendNotificationRequest]) -> list[str]:
    """Send messages, some at once, each again under its request id until it is taken on."""

    async def taken(request: notification_pb2.SendNotificationRequest) -> str:
        with suppress(RemoteError):
            return await desk.send(request)
        return ""

    found: list[str] = []
    for at in range(0, len(asked), AT_ONCE):
        some = asked[at : at + AT_ONCE]
        found += await asyncio.gather(*(eventually(partial(taken, each), timeout_s=120) for each in some))
    return found


def _has_taken(installation: NotificationInstallation, count: int) -> bool:
    return len(installation.sink.taken.mails) >= count


def _ended(installation: NotificationInstallation, ids: Sequence[str]) -> bool:
    """Say whether all of them were sent, and it is known of each."""
    query = """
        SELECT count(*) FROM notifications
        WHERE notification_id = ANY (%s) AND state IN (4, 6) AND verdict IS DISTINCT FROM 2
    """
    with psycopg.connect(installation.database_settings().dsn.get_secret_value()) as connection:
        return connection.execute(query, (list(ids),)).fetchall() == [(len(ids),)]


def _kill(alone: Alone, kind: str) -> None:
    """End one of them by SIGKILL, and start it again; of the sink, break every connection."""
    installation, service = alone
    if kind == "worker":
        service.kill()
        service.start()
    elif kind == "broker":
        installation.nats.kill()
        installation.nats.start()
    elif kind == "database":
        installation.postgres.kill()
        installation.postgres.start()
    else:
        installation.break_connections()
