"""Use case: take what people have done of a task whom no program asks, or who did it in place of one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.app.take_answer import take_answer
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.requests import Request
from rapport_consent.domain.tasks import AskedTask, TaskAnswer, TaskKind, require_complete


async def task_for_people(unit: RequestUnit, request_id: str, task_id: str) -> AskedTask:
    """Return a task that people may answer, answered or not.

    Raises:
        RapportError: TASK_NOT_FOUND.
    """
    for task in await unit.tasks.of(request_id):
        if task.task_id == task_id and task.participant_kind is not ParticipantKind.EVENT:
            return task
    raise ERRORS.error("TASK_NOT_FOUND", "there is no such task for people", field="task_id")


async def require_records_asked(unit: RequestUnit, request_id: str, task_id: str) -> AskedTask:
    """Return a task to which records may be handed in: looked at before any are read.

    Raises:
        RapportError: TASK_NOT_FOUND, RECORDS_NOT_ASKED.
    """
    task = await task_for_people(unit, request_id, task_id)
    if task.kind is not TaskKind.ACCESS:
        raise ERRORS.error("RECORDS_NOT_ASKED", "the task does not ask for records", field="task_id")
    return task


async def confirm_task(
    unit: RequestUnit,
    request_id: str,
    task_id: str,
    answered: Callable[[AskedTask], TaskAnswer],
    now: datetime,
    actor: str,
) -> Request:
    """Take an answer, and return its request, held until the transaction ends.

    Args:
        unit: The transaction.
        request_id: The request.
        task_id: The task.
        answered: Returns what people say of the task.
        now: The present.
        actor: Who says so.

    Raises:
        RapportError: REQUEST_NOT_FOUND; TASK_NOT_FOUND: there is none, or it is answered; RECORDS_NOT_ASKED,
            RECORDS_MISCOUNTED.
    """
    held = await unit.requests.hold(request_id)
    task = await task_for_people(unit, held.id, task_id)
    answer = require_complete(task.kind, answered(task))
    if not await take_answer(unit, answer, now, actor):
        raise ERRORS.error("TASK_NOT_FOUND", "the task is answered", field="task_id")
    return held
