"""Use cases: legal holds. Participants are told by tasks, and read them inside each transaction that deletes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.ids import new_id

from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.domain.holds import Hold
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.requests import Participant
from rapport_consent.domain.tasks import AskedTask, TaskKind

_DAYS: Final = 1


async def place_hold(unit: RequestUnit, hold: Hold, participants: Sequence[Participant]) -> Hold:
    """Place a hold and tell every service of it."""
    await unit.holds.add(hold)
    await _tell(unit, hold, TaskKind.HOLD, participants, hold.placed_at)
    return hold


async def release_hold(
    unit: RequestUnit, hold_id: str, actor: str, participants: Sequence[Participant], now: datetime
) -> Hold:
    """Release a hold, tell every service of it, and wake the erasures that may wait for it.

    Raises:
        RapportError: HOLD_NOT_FOUND.
    """
    hold = await unit.holds.release(hold_id, actor, now)
    await _tell(unit, hold, TaskKind.UNHOLD, participants, now)
    for request in await unit.requests.running_about(hold.profile_id):
        await unit.requests.wake(request, now)
    return hold


async def _tell(
    unit: RequestUnit, hold: Hold, kind: TaskKind, participants: Sequence[Participant], now: datetime
) -> None:
    head = await unit.head()
    for each in participants:
        if each.kind is not ParticipantKind.EVENT:
            continue  # people read the hold where they are asked to delete
        task = AskedTask(
            task_id=new_id("task"),
            request_id=hold.task_request_id,
            participant=each.name,
            participant_kind=each.kind,
            kind=kind,
            attempt=0,
            asked_at=now,
            due_at=now + timedelta(days=_DAYS),
            hold_id=hold.id,
        )
        await unit.tasks.ask(task, [hold.profile_id], head, hold)
