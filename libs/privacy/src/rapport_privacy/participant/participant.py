"""Does what privacy requests ask of one service: each task once, whatever is killed, and says so signed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

from rapport.common.v1 import privacy_pb2
from rapport.consent.v1 import events_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import Received, event_of
from rapport_chassis.events.eraser import Erased
from rapport_chassis.events.jetstream import JetStreamError
from rapport_chassis.events.wire import WireError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.signing import SigningKeys
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.times import moment

from rapport_privacy.participant import journal, leftovers, living
from rapport_privacy.participant.answers import completed
from rapport_privacy.participant.export import exported_counts, patient
from rapport_privacy.participant.holding import Answer, Holding, Subject, TaskKind
from rapport_privacy.participant.journal import HeldRecords, Hold, Task
from rapport_privacy.participant.ledger import Known, Ledger

_OVERDUE: Final = timedelta(minutes=5)


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
        ledger: Says how far of the ledger this process knows.
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
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._name = name
        self._database = database
        self._holding = holding
        self._eraser = eraser
        self._keys = keys
        self._ledger = ledger
        self._clock = clock
        self._later: set[str] = set()
        self._failed = False

    async def handle(self, event: Received, connection: Connection) -> None:
        """Write a task down in the transaction that also enters its event as received; one for others is left alone.

        A task of a kind that this release does not know is left alone, too: nobody answers it, and that is seen.
        """
        asked = event.parse(events_pb2.PrivacyTaskRequested)
        if self._name not in asked.participants or int(asked.kind) not in set(map(int, TaskKind)):
            return
        subject = Subject(asked.request_id, tuple(asked.profile_ids))
        hold = _hold_of(asked.hold, self._name) if asked.HasField("hold") else None
        await journal.enter(
            connection,
            Task(asked.task_id, TaskKind(asked.kind), subject, hold=hold),
            epoch=asked.epoch,
            position=asked.position,
            due_at=moment(asked.due_at) if asked.HasField("due_at") else None,
        )

    async def step(self) -> bool:
        """Work at the task asked for longest; return whether there was one. One that failed lets others go first.

        Raises:
            RapportError: The database or the broker cannot be reached; what was not finished is taken up again.
        """
        if not self._later and not self._failed and not await self._any_waits():
            return False
        known = await self._ledger()
        task: Task | None = None
        try:
            async with patient(self._database) as connection:
                task = await journal.next_task(connection, known, self._later)
                if task is None:
                    failed, self._failed = self._failed, False
                    self._later.clear()
                    return failed
                if task.answer is None and not await self._first(connection, task, known):
                    return True
            failpoint("privacy.acted")
            await self._holding.purge(task.subject)
            failpoint("privacy.purged")
            if not await self._erase_published(task):
                self._later.add(task.task_id)  # an event about the person is not published yet: others first
                return True
            failpoint("privacy.published_erased")
            async with self._database.transaction() as connection:
                if await journal.hold(connection, task.task_id) == "acted":
                    found = await journal.find(connection, task.subject.request_id, task.task_id)
                    assert found is not None
                    assert found.answer is not None
                    await self._answer(connection, task, found.answer, known)
        except Exception:
            if task is not None:
                self._later.add(task.task_id)
                self._failed = True
            raise
        return True

    async def check(self) -> None:
        """Say, for health, whether tasks are answered.

        Raises:
            RapportError: NOT_READY: one waits longer than it should.
        """
        async with self._database.looking() as connection:
            count, since = await journal.waiting(connection)
        if since is not None and self._clock.now() - since > _OVERDUE:
            raise CHASSIS_ERRORS.error("NOT_READY", f"{count} tasks of privacy requests wait to be answered")

    async def _any_waits(self) -> bool:
        async with self._database.looking() as connection:
            return (await journal.waiting(connection))[0] > 0

    async def _first(self, connection: Connection, task: Task, known: Known) -> bool:
        """Act; return whether what was published is still to be erased before the task can be answered."""
        await living.seclude(connection, task.subject)
        answer = await self._act(connection, task)
        if task.kind is not TaskKind.ERASE:
            await self._answer(connection, task, answer, known)
            return False
        await living.bury(connection, task.subject)
        await journal.note(connection, task, answer, "acted", self._clock.now())
        failpoint("privacy.acting")
        return True

    async def _act(self, connection: Connection, task: Task) -> Answer:
        holds = await living.holds(connection, task.subject, self._clock.now())
        subject = Subject(task.subject.request_id, task.subject.profile_ids, holds)
        match task.kind:
            case TaskKind.FREEZE:
                answer = await self._holding.freeze(connection, subject)
                await living.freeze(connection, subject, answer.closure_ids)
                return answer
            case TaskKind.RELEASE:
                answer = await self._holding.release(connection, subject)
                await living.thaw(connection, subject)
                return answer
            case TaskKind.ERASE:
                erased = await self._holding.erase(connection, subject)
                left = await leftovers.erase(connection, subject)
                return Answer((*erased.stores, *left.stores), (*erased.kept, *left.kept), erased.closure_ids)
            case TaskKind.ACCESS:
                return Answer(await exported_counts(self._holding, connection, subject))
            case TaskKind.PROBE:
                counted = await self._holding.count(connection, subject)
                left = await leftovers.count(connection, subject)
                return Answer((*counted.stores, *left.stores), counted.kept)
            case TaskKind.RECTIFY:
                return await self._holding.rectify(connection, subject)
            case TaskKind.HOLD:
                # The release may overtake it on the way: what is let go already is not held any more.
                if task.hold is not None and not await journal.has(connection, subject.request_id, TaskKind.UNHOLD):
                    await living.hold(connection, subject, task.hold)
                return await self._holding.count(connection, subject)
            case TaskKind.UNHOLD:
                if task.hold is not None:
                    await living.unhold(connection, task.hold)
                return await self._holding.count(connection, subject)

    async def _answer(self, connection: Connection, task: Task, answer: Answer, known: Known) -> None:
        now = self._clock.now()
        message = completed(task, answer, participant=self._name, known=known, now=now, keys=self._keys)
        await outbox.append(connection, [event_of(message, source=self._name, occurred_at=now)])
        await journal.note(connection, task, answer, "answered", now)
        failpoint("privacy.answering")
        get_logger().info("privacy_task_answered", operation_id=task.task_id, type=task.kind.name)

    async def _erase_published(self, task: Task) -> bool:
        async with self._database.transaction() as connection:
            holds = await living.holds(connection, task.subject, self._clock.now())
        subject = Subject(task.subject.request_id, task.subject.profile_ids, holds)
        if subject.held_in(leftovers.EVENTS).everything:
            return True
        try:
            erased = await self._eraser.erase(subject.profile_ids)
        except (WireError, JetStreamError) as error:
            raise CHASSIS_ERRORS.error("NOT_READY", f"messages cannot be deleted: {type(error).__name__}") from error
        return erased.waiting == 0


def _hold_of(asked: privacy_pb2.LegalHold, participant: str) -> Hold | None:
    """Return what a hold keeps here; None if it keeps nothing of this participant's."""
    own = tuple(
        HeldRecords(each.store, tuple(each.record_ids)) for each in asked.records if each.participant == participant
    )
    if asked.records and not own:
        return None
    until = moment(asked.until) if asked.HasField("until") else None
    return Hold(asked.hold_id, asked.ground, until, own or (HeldRecords(""),))
