"""Use case: ask whoever has to answer in a stage, again if need be, and go on once all have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.ids import new_id

from rapport_consent.app.ledger import Token
from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.app.turn import LOOK_AGAIN, go_on, go_to, wait
from rapport_consent.domain.request_rules import give_back, pin, tell_of_hold, widen
from rapport_consent.domain.request_stages import Stage
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.requests import Participant, Request
from rapport_consent.domain.tasks import AskedTask, TaskKind, asked_anew, held_up, latest, missing, released, to_ask

IDENTITY: Final = "identity"
"""The participant that knows which ids a person had."""

_KINDS: Final = {
    Stage.FREEZE_IDENTITY: TaskKind.FREEZE,
    Stage.THAW: TaskKind.RELEASE,
    Stage.FREEZE: TaskKind.FREEZE,
    Stage.COUNT: TaskKind.ACCESS,
    Stage.ERASE: TaskKind.ERASE,
    Stage.PROBE: TaskKind.PROBE,
    Stage.RELEASE: TaskKind.RELEASE,
}
_OF_ANYBODY: Final = (TaskKind.ACCESS, TaskKind.ERASE, TaskKind.PROBE)
_OF_IDENTITY: Final = (Stage.FREEZE_IDENTITY, Stage.THAW)


async def ask_participants(unit: RequestUnit, request: Request, stage: Stage, now: datetime) -> None:
    """Ask in a stage, and end the turn."""
    kind, participants = _KINDS[stage], _asked_in(stage, request.participants)
    tasks = await unit.tasks.of(request.id)
    asked = latest(tasks, kind)
    if kind is TaskKind.RELEASE and missing_freezes(tasks):
        await wait(unit, request, now + LOOK_AGAIN)  # let go before it is held, it would be held for ever
        return
    again = asked_anew(asked, request.outdated)
    if stage is Stage.ERASE:
        holds = await unit.holds.of(request.subject_ids)
        told = {hold.id: await unit.tasks.of(hold.task_request_id) for hold in holds}
        if any(task.answer is None for each in told.values() for task in each):
            await wait(unit, request, None)  # not everybody knows yet what is held, or what no longer is
            return
        again |= released(asked, holds, told)
    token = Token(request.epoch, request.position) if request.position else await unit.head()
    for participant, attempt in to_ask(participants, asked, now, again=again):
        task = AskedTask(
            task_id=new_id("task"),
            request_id=request.id,
            participant=participant.name,
            participant_kind=participant.kind,
            kind=kind,
            attempt=attempt,
            asked_at=now,
            due_at=now + timedelta(days=participant.days),
        )
        await unit.tasks.ask(task, request.subject_ids, token)
        asked[participant.name] = task
    if missing(participants, asked):
        await wait(unit, request, now + LOOK_AGAIN)
        return
    match stage:
        case Stage.FREEZE_IDENTITY:
            await _pin(unit, request, asked, now)
        case Stage.THAW:
            await _give_back(unit, request, tasks, asked, now)
        case Stage.ERASE:
            await _erased(unit, request, asked, now)
        case _:
            await go_on(unit, request, stage, now)


def missing_freezes(tasks: Sequence[AskedTask]) -> bool:
    """Whether somebody has yet to answer that they hold a person still."""
    return any(task.kind is TaskKind.FREEZE and task.answer is None for task in tasks)


async def _pin(unit: RequestUnit, request: Request, asked: Mapping[str, AskedTask], now: datetime) -> None:
    """Pin every id that identity named; wait while another request of the same person runs.

    Whoever waits lets go of what it claimed meanwhile: two that were approved by different ids of one person would else
    wait for one another.
    """
    pinned = pin(request, [each for task in asked.values() if task.answer for each in task.answer.closure_ids])
    rights = [each.right for each in pinned.rights if pinned.asks(each.right)]
    if await unit.requests.claim(pinned, pinned.closure_ids, rights):
        await unit.requests.unclaim(request.id)
        await wait(unit, pinned, now + LOOK_AGAIN)
    else:
        await go_on(unit, pinned, Stage.FREEZE_IDENTITY, now)


async def _give_back(
    unit: RequestUnit, request: Request, tasks: Sequence[AskedTask], asked: Mapping[str, AskedTask], now: datetime
) -> None:
    """Have officers look again at whom a request is about, with nothing of the person held still."""
    done = [task.task_id for task in (*tasks, *asked.values())]
    await unit.requests.unclaim(request.id)
    await unit.log(request, "REOPENED", f"{request.id}/reopened/{request.reopened}", {})
    await unit.requests.save(give_back(request, done), None)


async def _erased(unit: RequestUnit, request: Request, asked: Mapping[str, AskedTask], now: datetime) -> None:
    """Go on once all that no hold keeps is erased, of every id there was."""
    answers = [task.answer for task in asked.values() if task.answer is not None]
    if named := {each for answer in answers for each in answer.closure_ids} - set(request.closure_ids):
        # Came while the person was frozen, and was kept apart for that alone: nobody else has erased it yet.
        rights = [each.right for each in request.rights if request.asks(each.right)]
        if await unit.requests.claim(request, named, rights):
            await wait(unit, request, now + LOOK_AGAIN)
        else:
            await go_to(unit, widen(request, named, [task.task_id for task in asked.values()]), Stage.FENCE, now)
    elif held_up(asked, await unit.holds.of(request.subject_ids)):
        told = tell_of_hold(request)
        await wait(unit, told, now if told is not request else now + LOOK_AGAIN if request.pending else None)
    else:
        await go_on(unit, request, Stage.ERASE, now)


def _asked_in(stage: Stage, participants: Sequence[Participant]) -> list[Participant]:
    """Return who has to answer in a stage: identity freezes first, and only services are asked to hold still."""
    able = [each for each in participants if each.kind is ParticipantKind.EVENT or _KINDS[stage] in _OF_ANYBODY]
    if stage in _OF_IDENTITY:
        return [each for each in able if each.name == IDENTITY]
    if stage is Stage.FREEZE:
        return [each for each in able if each.name != IDENTITY]
    return able
