"""The journal of tasks: each is written down before anything is done about it, and what was done before it is told."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from rapport_chassis.database.pool import Connection

from rapport_privacy.participant.holding import Answer, Kept, StoreCount, Subject, TaskKind
from rapport_privacy.participant.ledger import Known

State = Literal["asked", "acted", "answered"]

_ENTER: Final = """
INSERT INTO privacy_tasks (task_id, request_id, kind, profile_ids, epoch, position, hold, due_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (task_id) DO NOTHING
"""
# Whoever looks at the same time takes another one. In another epoch positions cannot be compared.
_NEXT: Final = """
SELECT task_id, request_id, kind, profile_ids, hold, state, answer FROM privacy_tasks
WHERE state <> 'answered' AND task_id <> ALL (%(but)s)
    AND (position = 0 OR CASE WHEN epoch IN ('', %(epoch)s) THEN position <= %(position)s ELSE %(fresh)s END)
ORDER BY asked_at, task_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_HOLD: Final = "SELECT state FROM privacy_tasks WHERE task_id = %s FOR UPDATE"
_FIND: Final = """
SELECT task_id, request_id, kind, profile_ids, hold, state, answer FROM privacy_tasks
WHERE task_id = %s AND request_id = %s
"""
_NOTE: Final = """
UPDATE privacy_tasks
SET state = %s, answer = %s, answered_at = CASE %s WHEN 'answered' THEN %s::timestamptz END WHERE task_id = %s
"""
_HAS: Final = "SELECT EXISTS (SELECT FROM privacy_tasks WHERE request_id = %s AND kind = %s)"
_WAITING: Final = "SELECT count(*), min(asked_at) FROM privacy_tasks WHERE state <> 'answered'"


@dataclass(frozen=True, slots=True)
class HeldRecords:
    """What a hold keeps in one store: all of the subject, or some records."""

    store: str
    record_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold as a task brings it.

    Attributes:
        hold_id: The hold.
        ground: Why, as a code.
        until: When it ends by itself.
        records: What it keeps; the store "" stands for every store.
    """

    hold_id: str
    ground: str
    until: datetime | None
    records: tuple[HeldRecords, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A task.

    Attributes:
        task_id: The task.
        kind: What it asks.
        subject: Whom it is about.
        state: How far it has come.
        answer: What was done; None before anything was.
        hold: What is held or let go, where that is what it asks.
    """

    task_id: str
    kind: TaskKind
    subject: Subject
    state: State = "asked"
    answer: Answer | None = None
    hold: Hold | None = None


async def enter(connection: Connection, task: Task, *, epoch: str, position: int, due_at: datetime | None) -> None:
    """Write a task down; nothing happens if it is known.

    Args:
        connection: The transaction.
        task: The task.
        epoch: Epoch of that position.
        position: How far of the ledger must be known before anything is done; 0 for a task that needs nothing of it.
        due_at: When an answer is due.
    """
    subject = task.subject
    hold = None if task.hold is None else _written_hold(task.hold)
    values = (task.task_id, subject.request_id, int(task.kind), subject.ids, epoch, position, hold, due_at)
    await connection.execute(_ENTER, values)


async def next_task(connection: Connection, known: Known, but: Collection[str] = ()) -> Task | None:
    """Return the task asked for longest that may be worked at, and hold it until the transaction ends.

    Args:
        connection: The transaction.
        known: How far the ledger is known.
        but: Tasks to leave for later.
    """
    values = {"epoch": known.epoch, "position": known.position, "fresh": known.fresh, "but": list(but)}
    row = await (await connection.execute(_NEXT, values)).fetchone()
    return None if row is None else _task(*row)


async def find(connection: Connection, request_id: str, task_id: str) -> Task | None:
    """Return a task of a request, None if the request has none of this id here."""
    row = await (await connection.execute(_FIND, (task_id, request_id))).fetchone()
    return None if row is None else _task(*row)


async def has(connection: Connection, request_id: str, kind: TaskKind) -> bool:
    """Whether a task of a kind was written down for a request, whether done or not."""
    row = await (await connection.execute(_HAS, (request_id, int(kind)))).fetchone()
    return bool(row and row[0])


async def hold(connection: Connection, task_id: str) -> State:
    """Hold a task until the transaction ends; return how far it has come."""
    row = await (await connection.execute(_HOLD, (task_id,))).fetchone()
    assert row is not None, "a task is never deleted"
    state: State = row[0]
    return state


async def note(connection: Connection, task: Task, answer: Answer, state: State, now: datetime) -> None:
    """Write down how far a task has come, and what was done."""
    await connection.execute(_NOTE, (state, _written(answer), state, now, task.task_id))


async def waiting(connection: Connection) -> tuple[int, datetime | None]:
    """Return how many tasks are not answered, and since when the oldest waits."""
    row = await (await connection.execute(_WAITING)).fetchone()
    assert row is not None
    return row[0], row[1]


def _task(
    task_id: str,
    request_id: str,
    kind: int,
    profile_ids: list[str],
    held: dict[str, Any] | None,
    state: State,
    answer: dict[str, Any] | None,
) -> Task:
    subject = Subject(request_id, tuple(profile_ids))
    return Task(task_id, TaskKind(kind), subject, state, _read(answer), None if held is None else _read_hold(held))


def _written(answer: Answer) -> str:
    return json.dumps(
        {
            "stores": [[each.store, each.found, each.acted] for each in answer.stores],
            "kept": [[each.store, each.count, each.ground, _text(each.until)] for each in answer.kept],
            "closure_ids": answer.closure_ids,
        }
    )


def _read(document: dict[str, Any] | None) -> Answer | None:
    if document is None:
        return None
    return Answer(
        tuple(StoreCount(*each) for each in document["stores"]),
        tuple(Kept(store, count, ground, _time(until)) for store, count, ground, until in document["kept"]),
        tuple(document["closure_ids"]),
    )


def _written_hold(held: Hold) -> str:
    return json.dumps(
        {
            "hold_id": held.hold_id,
            "ground": held.ground,
            "until": _text(held.until),
            "records": [[each.store, each.record_ids] for each in held.records],
        }
    )


def _read_hold(document: dict[str, Any]) -> Hold:
    records = tuple(HeldRecords(store, tuple(record_ids)) for store, record_ids in document["records"])
    return Hold(document["hold_id"], document["ground"], _time(document["until"]), records)


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
