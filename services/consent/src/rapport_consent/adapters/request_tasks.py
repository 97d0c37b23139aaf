"""The journal of tasks in PostgreSQL; a task for services is published in the transaction that journals it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from rapport.common.v1 import privacy_pb2
from rapport.consent.v1 import events_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import event_of
from rapport_chassis.times import stamp

from rapport_consent.app.ledger import Token
from rapport_consent.domain.holds import Hold
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.tasks import AskedTask, TaskAnswer, TaskKind
from rapport_consent.translate.tasks import answer_of, hold_message

_COLUMNS: Final = (
    "task_id, request_id, participant, participant_kind, kind, attempt, asked_at, due_at, coalesce(hold_id, ''), "
    "answer, answered_at, confirmed_by"
)
_OF: Final = f"SELECT {_COLUMNS} FROM privacy_asked_tasks WHERE request_id = %s ORDER BY asked_at, task_id"  # noqa: S608
_ASK: Final = """
INSERT INTO privacy_asked_tasks
    (task_id, request_id, hold_id, participant, participant_kind, kind, attempt, asked_at, due_at, call_at)
VALUES (%s, %s, nullif(%s, ''), %s, %s, %s, %s, %s, %s, %s)
"""
_ANSWER: Final = """
UPDATE privacy_asked_tasks SET answer = %s, outcome = %s, answered_at = %s, confirmed_by = %s
WHERE task_id = %s AND participant = %s AND answer IS NULL RETURNING request_id
"""
# Whoever looks at the same time takes another one; one that is killed while it calls has called.
_NEXT_CALL: Final = f"""
UPDATE privacy_asked_tasks SET calls = calls + 1, call_at = %(now)s + CASE calls
    WHEN 0 THEN interval '5 seconds' WHEN 1 THEN interval '1 minute' WHEN 2 THEN interval '10 minutes'
    ELSE interval '1 hour' END
WHERE task_id = (
    SELECT task_id FROM privacy_asked_tasks
    WHERE participant_kind = 'WEBHOOK' AND answer IS NULL AND call_at <= %(now)s AND participant = ANY (%(names)s)
        AND NOT EXISTS (
            SELECT FROM privacy_requests AS ended WHERE ended.request_id = privacy_asked_tasks.request_id
                AND ended.state NOT IN ('RECEIVED', 'VERIFIED', 'RUNNING'))
    ORDER BY call_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants


class TaskJournal:
    """The journal, in one transaction."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def of(self, request_id: str) -> list[AskedTask]:
        """Return what was asked for a request, the oldest first."""
        rows = await (await self._connection.execute(_OF, (request_id,))).fetchall()
        return [_task(row) for row in rows]

    async def ask(
        self,
        task: AskedTask,
        profile_ids: Sequence[str],
        token: Token,
        hold: Hold | None = None,
    ) -> None:
        """Journal a task; one for a service is published with it, others are called for or wait for people."""
        values = (
            task.task_id,
            task.request_id,
            task.hold_id,
            task.participant,
            task.participant_kind.value,
            int(task.kind),
            task.attempt,
            task.asked_at,
            task.due_at,
            task.asked_at if task.participant_kind is ParticipantKind.WEBHOOK else None,
        )
        await self._connection.execute(_ASK, values)
        if task.participant_kind is not ParticipantKind.EVENT:
            return
        message = events_pb2.PrivacyTaskRequested(
            request_id=task.request_id,
            task_id=task.task_id,
            kind=privacy_pb2.PrivacyTaskKind.ValueType(int(task.kind)),
            profile_ids=profile_ids,
            participants=[task.participant],
            position=token.position,
            epoch=token.epoch,
            due_at=stamp(task.due_at) if task.due_at else None,
            hold=hold_message(hold) if hold else None,
        )
        await outbox.append(self._connection, [event_of(message, source="consent", occurred_at=self._clock.now())])

    async def next_call(self, now: datetime, names: Collection[str]) -> AskedTask | None:
        """Return the task to call for next, of these participants, and note that it is called for."""
        row = await (await self._connection.execute(_NEXT_CALL, {"now": now, "names": list(names)})).fetchone()
        return None if row is None else _task(row)

    async def answer(self, answer: TaskAnswer, now: datetime, confirmed_by: str = "") -> str:
        """Keep the answer to a task; return the request's id, empty if it is unknown or answered already."""
        values = (answer.signed, int(answer.outcome), now, confirmed_by, answer.task_id, answer.participant)
        row = await (await self._connection.execute(_ANSWER, values)).fetchone()
        return row[0] if row else ""


def _task(row: Sequence[Any]) -> AskedTask:
    task_id, request_id, participant, how, kind, attempt, asked_at, due_at, hold_id, answer, answered_at, by = row
    message = privacy_pb2.PrivacyTaskCompleted.FromString(answer) if answer is not None else None
    return AskedTask(
        task_id,
        request_id,
        participant,
        ParticipantKind(how),
        TaskKind(kind),
        attempt,
        asked_at,
        due_at,
        hold_id,
        answer_of(message) if message is not None else None,
        answered_at,
        by,
    )
