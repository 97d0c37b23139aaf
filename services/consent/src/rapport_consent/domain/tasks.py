"""What participants of a privacy request are asked, what they answer, and what is still missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.handed_records import Handed
from rapport_consent.domain.holds import Hold
from rapport_consent.domain.request_words import Outcome, ParticipantKind
from rapport_consent.domain.requests import Participant


class TaskKind(IntEnum):
    """What a task asks. Numbers are those of rapport.common.v1.PrivacyTaskKind."""

    FREEZE = 1
    ACCESS = 2
    ERASE = 3
    RECTIFY = 4
    RELEASE = 5
    PROBE = 6
    HOLD = 7
    UNHOLD = 8


class TaskOutcome(IntEnum):
    """How a task ended. Numbers are those of rapport.common.v1.PrivacyTaskOutcome."""

    DONE = 1
    PARTIAL = 2
    NOTHING_HELD = 3
    FAILED = 4


RETRY_AFTER: Final = timedelta(seconds=30)
"""How long after a failure a participant is asked again."""


@dataclass(frozen=True, slots=True)
class StoreCount:
    """What was done in one store: records found, and acted upon."""

    store: str
    found: int
    acted: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Records that were kept: where, how many, why, and until when if that is known."""

    store: str
    count: int
    ground: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """What a participant answered.

    Attributes:
        task_id: The task.
        participant: Who.
        outcome: How it ended.
        completed_at: When it was done.
        stores: What was done, store by store.
        kept: What was kept.
        closure_ids: Every id of the person, from identity's freeze.
        signed: The message as it was signed; from people, as it was confirmed.
        kid: The key; empty from people.
        records: What was handed in with it, by those from whom nothing can be exported later; None for nothing.
    """

    task_id: str
    participant: str
    outcome: TaskOutcome
    completed_at: datetime
    stores: tuple[StoreCount, ...]
    kept: tuple[Kept, ...]
    closure_ids: tuple[str, ...]
    signed: bytes
    kid: str
    records: Handed | None = None


@dataclass(frozen=True, slots=True)
class AskedTask:
    """What one participant was asked.

    Attributes:
        task_id: The task.
        request_id: The request.
        participant: Who.
        participant_kind: How it is reached.
        kind: What.
        attempt: How often it was asked before.
        asked_at: When.
        due_at: When it is to be answered.
        hold_id: The hold it is of; empty for none.
        answer: What was answered; None while it is awaited.
        answered_at: When the answer came.
        confirmed_by: Who confirmed it, for people.
    """

    task_id: str
    request_id: str
    participant: str
    participant_kind: ParticipantKind
    kind: TaskKind
    attempt: int
    asked_at: datetime
    due_at: datetime | None
    hold_id: str = ""
    answer: TaskAnswer | None = None
    answered_at: datetime | None = None
    confirmed_by: str = ""


def require_complete(kind: TaskKind, answer: TaskAnswer) -> TaskAnswer:
    """Return an answer of somebody from whom nothing can be exported later: what it found, it has handed in.

    Raises:
        RapportError: RECORDS_NOT_ASKED, RECORDS_MISCOUNTED with the store as metadata.
    """
    if kind is not TaskKind.ACCESS:
        if answer.records is not None:
            raise ERRORS.error("RECORDS_NOT_ASKED", "the task does not ask for records", field="task_id")
        return answer
    found = {each.store: each.found for each in answer.stores if each.found}
    handed = answer.records.counts if answer.records is not None else {}
    for store in sorted(found.keys() | handed.keys()):
        if found.get(store, 0) != handed.get(store, 0):
            counts = {"store": store, "found": str(found.get(store, 0)), "handed_in": str(handed.get(store, 0))}
            message = f"{store}: {counts['found']} found, {counts['handed_in']} handed in"
            raise ERRORS.error("RECORDS_MISCOUNTED", message, field="stores", metadata=counts)
    return answer


def latest(tasks: Iterable[AskedTask], kind: TaskKind) -> dict[str, AskedTask]:
    """Return what each participant was asked last of a kind."""
    found: dict[str, AskedTask] = {}
    for task in tasks:
        if task.kind is kind and (task.participant not in found or found[task.participant].attempt < task.attempt):
            found[task.participant] = task
    return found


def to_ask(
    participants: Sequence[Participant], asked: dict[str, AskedTask], now: datetime, *, again: Iterable[str] = ()
) -> list[tuple[Participant, int]]:
    """Return whom to ask now, with the number of the attempt: who was not asked, who failed, and who is to be anew."""
    anew = set(again)
    found = []
    for each in participants:
        last = asked.get(each.name)
        if last is None:
            found.append((each, 0))
        elif last.answer is not None and (
            each.name in anew
            or (
                last.answer.outcome is TaskOutcome.FAILED
                and last.answered_at is not None
                and now >= last.answered_at + RETRY_AFTER
            )
        ):
            found.append((each, last.attempt + 1))
    return found


def asked_anew(asked: Mapping[str, AskedTask], outdated: Collection[str]) -> set[str]:
    """Return whose last task does not count any more."""
    return {name for name, task in asked.items() if task.task_id in outdated}


def released(
    asked: Mapping[str, AskedTask], holds: Iterable[Hold], told: Mapping[str, Sequence[AskedTask]]
) -> set[str]:
    """Return who kept something and may now erase it: a hold was released since.

    Args:
        asked: What each participant was asked last.
        holds: The holds on the person's records.
        told: What services were told of each hold; others read it where they are asked to erase.
    """
    found: set[str] = set()
    for hold in holds:
        let_go = {task.participant: task.asked_at for task in told[hold.id] if task.kind is TaskKind.UNHOLD}
        for name, task in asked.items():
            since = let_go.get(name) or (None if task.participant_kind is ParticipantKind.EVENT else hold.released_at)
            if since is not None and task.asked_at <= since and task.answer is not None and task.answer.kept:
                found.add(name)
    return found


def held_up(asked: Mapping[str, AskedTask], holds: Iterable[Hold]) -> bool:
    """Whether something was kept for a hold that still stands."""
    standing = {hold.ground for hold in holds if hold.stands}
    return any(kept.ground in standing for task in asked.values() if task.answer for kept in task.answer.kept)


def still_found(tasks: Iterable[AskedTask]) -> set[str]:
    """Return who found something that no exception keeps when they looked again."""
    answers = {name: task.answer for name, task in latest(tasks, TaskKind.PROBE).items()}
    return {name for name, answer in answers.items() if answer is not None and unexplained(answer.stores, answer.kept)}


def unexplained(stores: Iterable[StoreCount], kept: Iterable[Kept]) -> bool:
    """Whether more was found in a store than exceptions keep there."""
    counted: Counter[str] = Counter()
    for each in kept:
        counted[each.store] += each.count
    return any(store.found > counted[store.store] for store in stores)


def erasures(tasks: Iterable[AskedTask]) -> list[AskedTask]:
    """Return every erasure that was done, by participant and in order: one that was asked anew counts, too."""
    done = [
        task
        for task in tasks
        if task.kind is TaskKind.ERASE and task.answer is not None and task.answer.outcome is not TaskOutcome.FAILED
    ]
    return sorted(done, key=lambda task: (task.participant, task.attempt))


def erasure_outcome(tasks: Iterable[AskedTask]) -> Outcome:
    """Return how an erasure ended over all participants."""
    done = erasures(tasks)
    last = {task.participant: task.answer for task in done}
    if any(answer is not None and answer.kept for answer in last.values()):
        return Outcome.PARTIAL
    if all(task.answer is not None and task.answer.outcome is TaskOutcome.NOTHING_HELD for task in done):
        return Outcome.NOTHING_HELD
    return Outcome.DONE


def missing(participants: Iterable[Participant], asked: dict[str, AskedTask]) -> list[str]:
    """Return who has not answered, or failed."""
    return [each.name for each in participants if not _answered(asked.get(each.name))]


def _answered(task: AskedTask | None) -> bool:
    return task is not None and task.answer is not None and task.answer.outcome is not TaskOutcome.FAILED
