"""Records that people hand in with a manual task: streamed, so that memory does not grow with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from rapport.consent.v1 import privacy_pb2, privacy_request_pb2
from rapport_chassis.errors import RapportError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.once import actor
from rapport_chassis.rpc.pipeline import ServicerContext as Context

from rapport_consent.app.confirm_task import confirm_task, require_records_asked
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.handed_records import Handed
from rapport_consent.domain.requests import Request
from rapport_consent.domain.tasks import AskedTask, TaskAnswer
from rapport_consent.entrypoints.grpc_requests_read import RequestReading, request_view
from rapport_consent.entrypoints.request_ports import HandedRecords, RequestUnit
from rapport_consent.translate.tasks import answer_of, confirmed_task

_MOST_DROPPED: Final = 1 << 30


@dataclass(frozen=True)
class HandIn:
    """All that was handed in, as one request that takes effect once: the same again is told by its digest."""

    request_id: str
    privacy_request_id: str
    reason: str
    digest: bytes

    def SerializeToString(self, *, deterministic: bool) -> bytes:
        """Return what tells it from another under the same request id."""
        return self.digest


@dataclass(frozen=True)
class RecordTaking(RequestReading):
    """What operators decide, and the records that they hand in with it."""

    handed: HandedRecords

    async def HandInRecords(
        self, requests: AsyncIterator[privacy_pb2.HandInRecordsRequest], context: Context
    ) -> privacy_request_pb2.PrivacyRequest:
        """Confirm that people have found what a task asks for, and take a copy of it in."""
        try:
            task, records = await self._taken_in(requests)
        except RapportError:
            await _drop(requests)
            raise
        failpoint("request.handed_in")

        digest = sha256(task.SerializeToString(deterministic=True) + records.sha256).digest()
        whole = HandIn(task.request_id, task.privacy_request_id, task.reason, digest)
        return await self._decide(whole, lambda unit: self._confirmed(unit, task, records))

    async def _decide(
        self, request: Any, work: Callable[[RequestUnit], Awaitable[Request]]
    ) -> privacy_request_pb2.PrivacyRequest:
        """Do what an operator decided, once, with its entry in the audit trail; return the request as it is then.

        Only the id is kept for a repeat: whoever looks after an erasure for what is left would else find the person in
        the very answers that were given about it.
        """

        async def effect(unit: RequestUnit) -> privacy_request_pb2.PrivacyRequest:
            return privacy_request_pb2.PrivacyRequest(privacy_request_id=(await work(unit)).id)

        decided = await self.once.run(
            request,
            privacy_request_pb2.PrivacyRequest,
            effect,
            target=request.privacy_request_id,
            reason=getattr(request, "reason", ""),
        )
        async with self.store.unit() as unit:
            found = await unit.requests.get(decided.privacy_request_id)
            return await request_view(unit, found, self.law, self.clock.now())

    async def _taken_in(
        self, requests: AsyncIterator[privacy_pb2.HandInRecordsRequest]
    ) -> tuple[privacy_pb2.CompleteManualTaskRequest, Handed]:
        """Return what is told of a task, and the records; kept they are not yet."""
        told = await anext(requests, None)
        if told is None or told.WhichOneof("message") != "task":
            raise _out_of_order()
        async with self.store.unit() as unit:
            asked = await require_records_asked(unit, told.task.privacy_request_id, told.task.task_id)
        async with self.handed.intake(asked.participant) as intake:
            async for each in requests:
                if each.WhichOneof("message") != "lines":
                    raise _out_of_order()
                await intake.write(each.lines)
            return told.task, await intake.end()

    async def _confirmed(
        self, unit: RequestUnit, task: privacy_pb2.CompleteManualTaskRequest, records: Handed
    ) -> Request:
        now = self.clock.now()

        def answered(asked: AskedTask) -> TaskAnswer:
            return replace(answer_of(confirmed_task(asked, task, now)), records=records)

        return await confirm_task(unit, task.privacy_request_id, task.task_id, answered, now, actor())


async def _drop(requests: AsyncIterator[privacy_pb2.HandInRecordsRequest]) -> None:
    """Read what is still being sent: a refusal that meets a message on its way is lost in gRPC's core."""
    dropped = 0
    async for each in requests:
        dropped += each.ByteSize()
        if dropped > _MOST_DROPPED:
            return


def _out_of_order() -> RapportError:
    return ERRORS.error("REQUEST_INVALID", "the task comes first, and once", field="task")
