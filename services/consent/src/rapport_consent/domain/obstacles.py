"""What holds a request up, so that nobody has to guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapport_consent.domain.holds import Hold
from rapport_consent.domain.request_words import RequestState, RightState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right
from rapport_consent.domain.tasks import AskedTask, TaskOutcome


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a request does not go on: a code, and who or what it is about."""

    code: str
    of: tuple[str, ...] = ()


def obstacles(request: Request, tasks: Sequence[AskedTask], holds: Sequence[Hold]) -> tuple[Obstacle, ...]:
    """Return what holds a request up; empty where nothing does, or it has ended."""
    found = []
    if request.stuck:
        found.append(Obstacle(request.stuck))
    if request.state is RequestState.RECEIVED:
        found.append(Obstacle("IDENTITY_AWAITED"))
    if request.undecided_records and request.state is RequestState.VERIFIED:
        found.append(Obstacle("RECORDS_UNDECIDED", tuple(each.ref for each in request.undecided_records)))
    if request.state is RequestState.RUNNING:
        if waiting := sorted({task.participant for task in tasks if task.answer is None}):
            found.append(Obstacle("ANSWERS_MISSING", tuple(waiting)))
        if failed := sorted(_failed(tasks)):
            found.append(Obstacle("ASKED_AGAIN", tuple(failed)))
        if standing := tuple(hold.id for hold in holds if hold.stands):
            found.append(Obstacle("HELD", standing))
        reviewed = [
            each.right.value
            for each in request.rights
            if each.right in (Right.RECTIFICATION, Right.CONTEST) and each.state is RightState.APPROVED
        ]
        if reviewed and request.stage == "REVIEW":
            found.append(Obstacle("REVIEW_AWAITED", tuple(reviewed)))
    return tuple(found)


def _failed(tasks: Sequence[AskedTask]) -> set[str]:
    last: dict[tuple[str, int], AskedTask] = {}
    for task in tasks:
        key = task.participant, int(task.kind)
        if key not in last or last[key].attempt < task.attempt:
            last[key] = task
    return {
        task.participant
        for task in last.values()
        if task.answer is not None and task.answer.outcome is TaskOutcome.FAILED
    }
