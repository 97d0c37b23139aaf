"""Withdrawals inside a large send, and urgent messages before a large queue."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from notification_desk import Desk, advertising, daylight, message
from notification_installation import MARKETING, NotificationInstallation
from rapport.notification.v1 import events_pb2, notification_pb2
from rapport_chassis.times import stamp
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually

BATCH: Final = 20
BOUND_S: Final = 2.0
"""After an acknowledged withdrawal nothing may begin to leave later than this, whatever is broken."""


async def test_nothing_begins_to_leave_after_a_withdrawal_was_acknowledged(
    installation: NotificationInstallation, desk: Desk, scale: Scale, prove, progress
) -> None:
    count, withdrawn = scale.pick(small=(30, 6), full=(25_000, 5_000))
    people = [installation.person(MARKETING) for _ in range(count)]
    bar = progress(count, "messages")
    await noon(desk, people)
    taken = installation.sink.taken
    first, acknowledged = len(taken.mails), {}
    # Some of those who withdraw are asked before their message is due, the others while it may be on its way.
    soon = stamp(datetime.now(UTC) + timedelta(seconds=1))
    asked = [advertising(each, not_before=soon, at_least=installation.token) for each in people]
    sending = asyncio.create_task(send_all(desk, asked))
    for who in random.Random(3).sample(people, withdrawn):
        await asyncio.to_thread(installation.ledger.withdraw, who, MARKETING)
        acknowledged[installation.book.emails[who].encode()] = time.monotonic()
        if scale.is_full:
            await eventually(lambda: len(taken.mails) - first >= len(acknowledged) * 3, timeout_s=600)
    ids = await sending
    for notification_id in ids:
        await desk.becomes(notification_id, "SENT", "DROPPED", timeout_s=600)
        bar.advance()
    late = [
        max(0.0, began - acknowledged[address])
        for mail, began in zip(taken.mails[first:], taken.began[first:], strict=False)
        if (address := mail[: mail.index(b"\r\n\r\n")].partition(b"\nTo: <")[2].partition(b">")[0]) in acknowledged
    ]
    # Of those who withdrew, most got nothing: what is not in the list did not leave at all.
    late = sorted([0.0] * (withdrawn - len(late)) + late)
    worst, nearly = late[-1], late[min(len(late) - 1, int(len(late) * 0.999))]
    prove(
        "notification", withdrawals_in_a_send=withdrawn, latest_data_s=round(worst, 3), latest_p999_s=round(nearly, 3)
    )
    assert worst <= BOUND_S
    if scale.is_full:
        assert nearly <= 1.0
    assert len(taken.mails) - first >= count - withdrawn


async def test_urgent_messages_do_not_wait_for_a_queue(
    installation: NotificationInstallation, desk: Desk, scale: Scale, prove
) -> None:
    queued, urgent = scale.pick(small=(40, 2), full=(50_000, 300))
    crowd = [installation.person(MARKETING) for _ in range(min(queued, 500))]
    await noon(desk, crowd)
    idle = [await took(installation, desk) for _ in range(urgent)]
    taken = installation.sink.taken
    asked = [advertising(crowd[number % len(crowd)], at_least=installation.token) for number in range(queued)]
    before = len(taken.mails)
    sending = asyncio.create_task(send_all(desk, asked))
    await eventually(lambda: len(taken.mails) > before, timeout_s=60)
    busy = [await took(installation, desk) for _ in range(urgent)]
    left = queued - (len(taken.mails) - before - urgent)
    ids = await sending
    p99 = [sorted(each)[int(len(each) * 0.99)] for each in (idle, busy)]
    prove("notification", urgent_p99_idle_s=round(p99[0], 4), urgent_p99_queued_s=round(p99[1], 4), queued=queued)
    if scale.is_full:
        assert left > 0
        assert p99[1] <= 3 * p99[0]
    for notification_id in ids[-1:]:
        await desk.becomes(notification_id, "SENT", timeout_s=3600)


async def took(installation: NotificationInstallation, desk: Desk) -> float:
    """Send an urgent message and return how many seconds passed until it began to leave."""
    who, taken = installation.person(), installation.sink.taken
    address = b"<" + installation.book.emails[who].encode() + b">"
    began, seen = time.monotonic(), len(taken.mails)
    urgent: dict[str, Any] = {"class": events_pb2.MESSAGE_CLASS_ONE_TIME}
    await desk.send(message(who, **urgent))

    def left_at() -> float | None:
        nonlocal seen
        there = len(taken.mails)
        found = next((taken.began[number] for number in range(seen, there) if address in taken.mails[number]), None)
        seen = there
        return found

    return await eventually(left_at, timeout_s=60) - began


async def noon(desk: Desk, people: Sequence[str]) -> None:
    """Have people live where advertising may be sent now."""
    zone = daylight()
    for at in range(0, len(people), BATCH):
        await asyncio.gather(*(desk.lives(each, zone) for each in people[at : at + BATCH]))


async def send_all(desk: Desk, asked: Sequence[notification_pb2.SendNotificationRequest]) -> list[str]:
    """Send messages, many in a call, and return their ids."""
    found = []
    for at in range(0, len(asked), BATCH):
        request = notification_pb2.BatchSendNotificationsRequest(requests=asked[at : at + BATCH])
        results = (await desk.messages.BatchSendNotifications(request)).results
        found += [each.notification.notification.notification_id for each in results]
    return found
