"""Records of IdentityService: one by one, and in bulk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from google.rpc import code_pb2, status_pb2
from protovalidate import Validator
from rapport.identity.v1 import identity_pb2, profile_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.once import deed_of, request_of
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.middleware.validation import invalid_request
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.status import encode

from rapport_identity.app.batcher import Batcher
from rapport_identity.app.partition import Partition
from rapport_identity.app.profiles import list_records
from rapport_identity.app.records import TakeInRecords
from rapport_identity.app.resolve import Resolved
from rapport_identity.app.stored import Submission
from rapport_identity.entrypoints.paths import under
from rapport_identity.entrypoints.single import AskedRecord
from rapport_identity.entrypoints.streams import READ_AT_ONCE, TOGETHER, one_ahead
from rapport_identity.translate.answers import held_message, resolved_message
from rapport_identity.translate.records import record_of, submission_of

PAGE: Final = 50
MOST: Final = 500
"""Entries of a page: where none is asked for, and at most."""

_OK: Final = status_pb2.Status(code=code_pb2.OK)

Single = Batcher[AskedRecord, identity_pb2.ResolvedRecord | RapportError]
"""Answers single calls from batches."""


@dataclass(frozen=True)
class Records:
    """Takes records in, and shows them to operators.

    Attributes:
        single: Answers single calls, many in one transaction.
        take_in: Takes in many at once.
        partition: Where they are.
        validator: Judges each record of a batch by itself.
        clock: Says when a record came whose source does not say when it wrote it.
    """

    single: Single
    take_in: TakeInRecords
    partition: Partition
    validator: Validator
    clock: Clock

    async def ResolveRecord(
        self, request: identity_pb2.ResolveRecordRequest, context: Context
    ) -> identity_pb2.ResolvedRecord:
        """Take in a record and answer its profile."""
        answer = await self.single(AskedRecord(request_of(request), submission_of(request.record, self.clock.now())))
        if isinstance(answer, RapportError):
            raise answer
        return answer

    async def ResolveRecords(
        self, request_iterator: AsyncIterator[identity_pb2.ResolveRecordsRequest], context: Context
    ) -> AsyncIterator[identity_pb2.ResolveRecordsResponse]:
        """Take in batches, each answered once it is durable; the next one is read meanwhile."""
        async with aclosing(one_ahead(request_iterator)) as batches:
            async for batch in batches:
                yield identity_pb2.ResolveRecordsResponse(batch=batch.batch, results=await self._batch(batch))

    async def ListRecords(
        self, request: profile_pb2.ListRecordsRequest, context: Context
    ) -> profile_pb2.ListRecordsResponse:
        """List the records of a profile, in clear, to an operator."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token) or ("", "")
        deed = deed_of(request.profile_id)
        assert deed is not None, "the contract demands an operator"
        held, more = await list_records(
            self.partition, request.profile_id, (str(cursor[0]), str(cursor[-1])), size, deed
        )
        page = [held_message(each) for each in held]
        last = record_of(page[-1].record).key if page else None
        return profile_pb2.ListRecordsResponse(
            records=page, next_page_token=next_page_token(request, tuple(last)) if more and last else ""
        )

    async def _batch(self, batch: identity_pb2.ResolveRecordsRequest) -> list[identity_pb2.ResolveRecordsResult]:
        """Return what became of each record: refused ones with their fault, all others durable."""
        results = [identity_pb2.ResolveRecordsResult() for _ in batch.records]
        valid: list[tuple[int, Submission]] = []
        now = self.clock.now()
        for at, record in enumerate(batch.records):
            if violations := self.validator.collect_violations(record):
                _tell(results[at], at, invalid_request(violations))
            else:
                valid.append((at, submission_of(record, now)))
            if at % READ_AT_ONCE == 0:
                await asyncio.sleep(0)  # others are answered in between
        for first in range(0, len(valid), TOGETHER):
            part = valid[first : first + TOGETHER]
            answers = await self.take_in([submission for _, submission in part])
            for (at, _), answer in zip(part, answers, strict=True):
                _tell(results[at], at, answer)
        return results


def _tell(result: identity_pb2.ResolveRecordsResult, at: int, answer: Resolved | RapportError) -> None:
    if isinstance(answer, RapportError):
        result.status.CopyFrom(encode(under(answer, f"records[{at}]"), ""))
        return
    result.status.CopyFrom(_OK)
    result.resolved.CopyFrom(resolved_message(answer))
