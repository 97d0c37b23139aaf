"""Does what privacy requests ask of one service: each task once, whatever is killed, and says so signed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from rapport.consent.v1 import events_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import Received, event_of
from rapport_chassis.events.eraser import Erased
from rapport_chassis.failpoints import failpoint
from rapport_chassis.signing import SigningKeys
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.times import moment

from rapport_privacy.participant import journal
from rapport_privacy.participant.answers import completed
from rapport_privacy.participant.holding import Answer, Holding, StoreCount, Subject, TaskKind
from rapport_privacy.participant.journal import Task

EVENTS: Final = "events"
"""The store that every service has: what it published, or is about to."""


class StreamEraser(Protocol):
    """Deletes what was published about people."""

    async def erase(self, profile_ids: Sequence[str]) -> Erased:
        """Delete every published event about these profiles; may be repeated."""
        ...


class Participant:
    """The participant of one service.

    `handle` takes tasks from the consent stream; `step` works at one of them and is to be called again and again, in as
    many processes as there are.

    Args:
        name: Name of the service.
        database: Where the journal is, and what the service holds.
        holding: What it holds.
        eraser: Deletes what it published.
        keys: What answers are signed with.
        known: Says how far of the ledger this process knows, 0 for nothing.
        clock: The time.
    """

    def __init__(
        self,
        name: str,
        *,
        database: Database,
        holding: Holding,
        eraser: StreamEraser,
        keys: SigningKeys,
        known: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._name = name
        self._database = database
        self._holding = holding
        self._eraser = eraser
        self._keys = keys
        self._known = known
        self._clock = clock
        self._later: set[str] = set()

    async def handle(self, event: Received, connection: Connection) -> None:
        """Write a task down in the transaction that also enters its event as received; one for others is left alone."""
        asked = event.parse(events_pb2.PrivacyTaskRequested)
        if self._name not in asked.participants:
            return
        await journal.enter(
            connection,
            asked.task_id,
            TaskKind(asked.kind),
            Subject(asked.request_id, tuple(asked.profile_ids)),
            position=asked.position,
            due_at=moment(asked.due_at) if asked.HasField("due_at") else None,
        )

    async def step(self) -> bool:
        """Work at the task asked for longest; return whether there was one.

        Raises:
            RapportError: The database or the broker cannot be reached; what was not finished is taken up again.
        """
        known = self._known()
        async with self._database.transaction() as connection:
            task = await journal.next_task(connection, known, self._later)
            if task is None:
                self._later.clear()
                return False
            if task.answer is None:
                answer = await self._act(connection, task)
                if task.kind is TaskKind.ERASE:
                    await journal.bury(connection, task.subject)
                    await journal.note(connection, task, answer, "acted", self._clock.now())
                    failpoint("privacy.acting")
                else:
                    await self._answer(connection, task, answer, known)
                    return True
            else:
                answer = task.answer
        failpoint("privacy.acted")
        if not await self._erase_published(task):
            self._later.add(task.task_id)  # an event about the person is not published yet: others first
            return True
        failpoint("privacy.published_erased")
        async with self._database.transaction() as connection:
            if await journal.hold(connection, task.task_id) == "acted":
                await self._answer(connection, task, answer, known)
        return True

    async def _act(self, connection: Connection, task: Task) -> Answer:
        match task.kind:
            case TaskKind.FREEZE:
                return await self._holding.freeze(connection, task.subject)
            case TaskKind.RELEASE:
                return await self._holding.release(connection, task.subject)
            case TaskKind.ERASE:
                erased = await self._holding.erase(connection, task.subject)
                events = await journal.events_about(connection, task.subject)
                return Answer((*erased.stores, StoreCount(EVENTS, events, events)), erased.kept)
            case TaskKind.ACCESS | TaskKind.PROBE:
                return await self._holding.count(connection, task.subject)
            case TaskKind.RECTIFY:
                return Answer()  # what people say of themselves is said, and corrected, in identity

    async def _answer(self, connection: Connection, task: Task, answer: Answer, known: int) -> None:
        now = self._clock.now()
        message = completed(task, answer, participant=self._name, position=known, now=now, keys=self._keys)
        await outbox.append(connection, [event_of(message, source=self._name, occurred_at=now)])
        await journal.note(connection, task, answer, "answered", now)
        failpoint("privacy.answering")
        get_logger().info("privacy_task_answered", task_id=task.task_id, kind=task.kind.name)

    async def _erase_published(self, task: Task) -> bool:
        erased = await self._eraser.erase(task.subject.profile_ids)
        return erased.waiting == 0
