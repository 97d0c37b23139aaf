"""Runs operations in the background, a few at a time, and takes up those that a killed process left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, Protocol, TypeAlias

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.database.engine import Connection, Database
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.ids import new_id
from rapport_chassis.operations.rows import OperationRow, OperationStore
from rapport_chassis.rpc.status import encode
from rapport_chassis.telemetry.logs import get_logger

_RENEWALS: Final = 3
_ATTEMPTS: Final = 5
_LEASES_S: Final = 1.0
"""How late it may be noticed that a lease has run out, which nobody writes down."""


class Report(Protocol):
    """Tells how far a piece of work has come."""

    async def __call__(self, progress: float, metadata: Message | None = None) -> None:
        """Note the progress, from 0 to 1, and metadata of the method's own where there are any.

        Raises:
            RapportError: NOT_READY.
        """


@dataclass(frozen=True)
class Running:
    """What a piece of work is given.

    Attributes:
        operation_id: The operation.
        request: The serialised request that started it.
        attempt: 1 at first; more after a process that worked on it was killed.
        report: Tells how far it has come.
    """

    operation_id: str
    request: bytes
    attempt: int
    report: Report


Work: TypeAlias = Callable[[Running], Awaitable[Message]]
"""Carries out an operation and returns its result.

It may be begun again from the start after a kill, in another process, so what it writes must bear a repetition.
A cancellation of the operation cancels its task. A RapportError becomes the operation's error, except one that may pass
(retryable): then the work is tried again when the lease has run out, five times in all.
"""


_End: TypeAlias = Callable[[Connection], Awaitable[object]]
"""Writes how an attempt ended."""


@dataclass(eq=False)
class _Task:
    row: OperationRow
    task: asyncio.Task[None] = field(init=False)
    ended_by: Literal["caller", "lost", "stop", None] = None


class OperationRunner:
    """Starts operations and runs them. A component: each process with its role takes part.

    Args:
        database: Where the operations are.
        clock: Waits between looks at the table.
        role: The role whose processes run operations.
        parallel: How many at a time.
        lease_s: How long a killed process's operations wait before another takes them up.
        poll_s: How often to look for new ones.
    """

    name = "operations"

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock | None = None,
        role: Literal["api", "events", "relay"] = "api",
        parallel: int = 2,
        lease_s: float = 15.0,
        poll_s: float = 0.5,
    ) -> None:
        self.role = role
        self._database = database
        self._clock = clock or SystemClock()
        self._parallel = parallel
        self._lease = timedelta(seconds=lease_s)
        self._poll_s = poll_s
        self._store = OperationStore()
        self._work: dict[str, Work] = {}
        self._worker = new_id("task")
        self._loop: asyncio.Task[None] | None = None
        self._running: set[_Task] = set()

    def register(self, method: str, work: Work) -> None:
        """Say how operations of a method are carried out.

        Raises:
            ValueError: That was said already.
        """
        if method in self._work:
            raise ValueError(f"the work of {method} is registered twice")
        self._work[method] = work

    async def submit(
        self, connection: Connection, *, method: str, caller: str, request: Message, metadata: Message | None = None
    ) -> operations_pb2.Operation:
        """Start an operation in the caller's transaction and return what the method answers.

        Args:
            connection: In the transaction of the request, with its request id.
            method: Full name of the method, which is also the permission to ask for the operation.
            caller: URI of the caller's certificate.
            request: What to do; kept, so it must not hold what only others may store.
            metadata: The method's own metadata, if it has any.

        Raises:
            KeyError: The method's work is not registered.
        """
        self._work[method]
        row = await self._store.create(
            connection,
            operation_id=new_id("operation"),
            method=method,
            caller=caller,
            request=request,
            metadata=metadata,
        )
        return row.message()

    async def start(self) -> None:
        """Begin to look for operations."""
        self._loop = asyncio.create_task(self._look(), name="operations")

    async def stop(self) -> None:
        """Stop working and give what is unfinished to other processes."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        running = list(self._running)
        for each in running:
            each.ended_by = "stop"
            each.task.cancel()
        if running:
            await asyncio.wait([each.task for each in running])

    async def _look(self) -> None:
        while True:
            mark = self._database.commits.mark
            with suppress(RapportError):  # the database is away: its own health check says so
                while len(self._running) < self._parallel and await self._take_one():
                    pass
            await self._database.commits.since(mark, pace_s=self._poll_s, at_most_s=max(_LEASES_S, self._poll_s))

    async def _take_one(self) -> bool:
        async with self._database.looking() as connection:
            row = await self._store.claim(connection, worker=self._worker, methods=list(self._work), lease=self._lease)
        if row is None:
            return False
        each = _Task(row)
        each.task = asyncio.create_task(self._run(each), name=f"operation {row.id}")
        self._running.add(each)
        each.task.add_done_callback(lambda _: self._running.discard(each))
        return True

    async def _run(self, each: _Task) -> None:
        watch = asyncio.create_task(self._keep_lease(each))
        try:
            end = await self._outcome(each)
            failpoint("operations.before_end")
            if end is not None:
                await self._settle(end)
        finally:
            watch.cancel()

    async def _outcome(self, each: _Task) -> _End | None:
        """Do the work and return what to write at its end: None leaves the operation for a later attempt."""
        row = each.row
        if row.state == "cancelling":
            return self._cancelled(row)
        if row.attempts > _ATTEMPTS:
            return self._failed(row, CHASSIS_ERRORS.error("INTERNAL", f"given up after {_ATTEMPTS} attempts"))
        try:
            result = await self._work[row.method](Running(row.id, row.request, row.attempts, self._reporter(row)))
        except asyncio.CancelledError:
            if each.ended_by is None:
                raise
            if each.ended_by == "lost":
                return None
            return self._cancelled(row) if each.ended_by == "caller" else self._released(row)
        except RapportError as error:
            return None if error.reason.retryable else self._failed(row, error)
        except Exception as unknown:
            get_logger().error("operation_failed", method=row.method, exc_info=unknown)
            return self._failed(row, CHASSIS_ERRORS.error("INTERNAL", "internal error"))
        return lambda connection: self._store.succeed(connection, row.id, worker=self._worker, result=result)

    async def _settle(self, end: _End) -> None:
        """Write the end; while the database is away, the work is not lost for it."""
        while True:
            try:
                async with self._database.transaction() as connection:
                    await end(connection)
            except RapportError:
                await self._clock.sleep(self._poll_s)
            else:
                return

    async def _keep_lease(self, each: _Task) -> None:
        while True:
            await self._clock.sleep(self._lease.total_seconds() / _RENEWALS)
            try:
                async with self._database.transaction() as connection:
                    state = await self._store.renew(connection, each.row.id, worker=self._worker, lease=self._lease)
            except RapportError:
                continue  # the next renewal decides
            if state != "running":
                each.ended_by = "caller" if state == "cancelling" else "lost"
                each.task.cancel()
                return

    def _reporter(self, row: OperationRow) -> Report:
        async def report(progress: float, metadata: Message | None = None) -> None:
            async with self._database.transaction() as connection:
                await self._store.report(
                    connection, row.id, worker=self._worker, progress=min(max(progress, 0.0), 1.0), metadata=metadata
                )

        return report

    def _cancelled(self, row: OperationRow) -> _End:
        error = encode(CHASSIS_ERRORS.error("OPERATION_CANCELLED", "the operation was cancelled"), "")
        return lambda connection: self._store.fail(
            connection, row.id, worker=self._worker, state="cancelled", error=error
        )

    def _failed(self, row: OperationRow, error: RapportError) -> _End:
        status = encode(error, "")
        return lambda connection: self._store.fail(
            connection, row.id, worker=self._worker, state="failed", error=status
        )

    def _released(self, row: OperationRow) -> _End:
        return lambda connection: self._store.release(connection, row.id, worker=self._worker)
