"""Use case: take a participant's answer, and go on with what waited for it."""

from __future__ import annotations

from datetime import datetime

from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.domain.tasks import TaskAnswer


async def take_answer(unit: RequestUnit, answer: TaskAnswer, now: datetime, confirmed_by: str = "") -> bool:
    """Keep an answer, and have its request looked at; whether it was awaited.

    One that comes again, or that nobody asked for, changes nothing. Of a request that has ended meanwhile no records
    are kept.
    """
    request_id = await unit.tasks.answer(answer, now, confirmed_by)
    if not request_id:
        return False
    if answer.records is not None and (await unit.requests.hold(request_id)).is_open:
        await unit.handed.keep(request_id, answer.task_id, answer.records, now)
    await unit.requests.wake(request_id, now)
    for hold in await unit.holds.by_tasks(request_id):  # an erasure may wait until everybody knows of it
        for waiting in await unit.requests.running_about(hold.profile_id):
            await unit.requests.wake(waiting, now)
    return True
