"""The journal of tasks: each is written down before anything is done about it, and what was done before it is told."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from rapport_chassis.database.pool import Connection

from rapport_privacy.participant.holding import Answer, Kept, StoreCount, Subject, TaskKind

State = Literal["asked", "acted", "answered"]

_ENTER: Final = """
INSERT INTO privacy_tasks (task_id, request_id, kind, profile_ids, position, due_at) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (task_id) DO NOTHING
"""
# Whoever looks at the same time takes another one.
_NEXT: Final = """
SELECT task_id, request_id, kind, profile_ids, state, answer FROM privacy_tasks
WHERE state <> 'answered' AND position <= %s AND task_id <> ALL (%s)
ORDER BY asked_at, task_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_HOLD: Final = "SELECT state FROM privacy_tasks WHERE task_id = %s FOR UPDATE"
_NOTE: Final = """
UPDATE privacy_tasks
SET state = %s, answer = %s, answered_at = CASE %s WHEN 'answered' THEN %s::timestamptz END WHERE task_id = %s
"""
_BURY: Final = """
INSERT INTO privacy_tombstones (profile_id, request_id) SELECT unnest(%s::text[]), %s ON CONFLICT DO NOTHING
"""
_EVENTS: Final = """
SELECT (SELECT count(*) FROM published WHERE profile_ids && %(ids)s)
    + (SELECT count(*) FROM outbox WHERE profile_ids && %(ids)s)
"""
_BURIED: Final = "SELECT profile_id FROM privacy_tombstones WHERE profile_id = ANY (%s)"


@dataclass(frozen=True, slots=True)
class Task:
    """A task that is not answered yet.

    Attributes:
        task_id: The task.
        kind: What it asks.
        subject: Whom it is about.
        state: How far it has come.
        answer: What was done; None before anything was.
    """

    task_id: str
    kind: TaskKind
    subject: Subject
    state: State
    answer: Answer | None


async def enter(
    connection: Connection,
    task_id: str,
    kind: TaskKind,
    subject: Subject,
    *,
    position: int,
    due_at: datetime | None,
) -> None:
    """Write a task down; nothing happens if it is known.

    Args:
        connection: The transaction.
        task_id: The task.
        kind: What it asks.
        subject: Whom it is about.
        position: How far of the ledger must be known before anything is done.
        due_at: When an answer is due.
    """
    values = (task_id, subject.request_id, int(kind), list(subject.profile_ids), position, due_at)
    await connection.execute(_ENTER, values)


async def next_task(connection: Connection, position: int, but: Collection[str] = ()) -> Task | None:
    """Return the task asked for longest that may be worked at, and hold it until the transaction ends.

    Args:
        connection: The transaction.
        position: How far the ledger is known.
        but: Tasks to leave for later.
    """
    row = await (await connection.execute(_NEXT, (position, list(but)))).fetchone()
    if row is None:
        return None
    task_id, request_id, kind, profile_ids, state, answer = row
    return Task(task_id, TaskKind(kind), Subject(request_id, tuple(profile_ids)), state, _read(answer))


async def hold(connection: Connection, task_id: str) -> State:
    """Hold a task until the transaction ends; return how far it has come."""
    row = await (await connection.execute(_HOLD, (task_id,))).fetchone()
    assert row is not None, "a task is never deleted"
    state: State = row[0]
    return state


async def note(connection: Connection, task: Task, answer: Answer, state: State, now: datetime) -> None:
    """Write down how far a task has come, and what was done."""
    await connection.execute(_NOTE, (state, _written(answer), state, now, task.task_id))


async def events_about(connection: Connection, subject: Subject) -> int:
    """Return how many events about a subject were published, or are about to be."""
    row = await (await connection.execute(_EVENTS, {"ids": list(subject.profile_ids)})).fetchone()
    assert row is not None
    return int(row[0])


async def bury(connection: Connection, subject: Subject) -> None:
    """Leave a tombstone for every id: whatever still comes about one of them is to be dropped."""
    await connection.execute(_BURY, (list(subject.profile_ids), subject.request_id))


async def buried(connection: Connection, profile_ids: Collection[str]) -> set[str]:
    """Return which of these ids have a tombstone."""
    if not profile_ids:
        return set()
    return {row[0] for row in await (await connection.execute(_BURIED, (list(profile_ids),))).fetchall()}


def _written(answer: Answer) -> str:
    return json.dumps(
        {
            "stores": [[each.store, each.found, each.acted] for each in answer.stores],
            "kept": [
                [each.store, each.count, each.ground, each.until.isoformat() if each.until else None]
                for each in answer.kept
            ],
        }
    )


def _read(document: dict[str, Any] | None) -> Answer | None:
    if document is None:
        return None
    return Answer(
        tuple(StoreCount(*each) for each in document["stores"]),
        tuple(
            Kept(store, count, ground, datetime.fromisoformat(until) if until else None)
            for store, count, ground, until in document["kept"]
        ),
    )
