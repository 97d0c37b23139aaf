"""rapport.identity.v1.TouchpointService over gRPC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from google.rpc import code_pb2, status_pb2
from protovalidate import Validator
from rapport.identity.v1 import ingest_pb2, ingest_pb2_grpc
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.once import request_of
from rapport_chassis.rpc.middleware.validation import invalid_request
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.status import encode
from rapport_chassis.telemetry.metrics import Counter

from rapport_identity.app.batcher import Batcher
from rapport_identity.app.facts import Ingested, RawTouchpoint
from rapport_identity.app.touchpoints import IngestTouchpoints
from rapport_identity.entrypoints.paths import under
from rapport_identity.entrypoints.ports import Backlog
from rapport_identity.entrypoints.single import AskedTouchpoint
from rapport_identity.entrypoints.streams import READ_AT_ONCE, TOGETHER, one_ahead
from rapport_identity.translate.touchpoints import ingested_message, raw_of

_OK: Final = status_pb2.Status(code=code_pb2.OK)
_LOOK_EVERY_S: Final = 0.05
_LOOK_AGAIN_S: Final = 0.1


Single = Batcher[AskedTouchpoint, ingest_pb2.IngestedTouchpoint | RapportError]
"""Answers single calls from batches."""


@dataclass(frozen=True)
class TouchpointServicer(ingest_pb2_grpc.TouchpointServiceServicer):
    """Takes touchpoints in, one by one or in bulk.

    Attributes:
        single: Answers single calls, many in one transaction.
        ingest: Takes in many at once.
        validator: Judges each touchpoint of a batch by itself.
        backlog: How far what was written is from being published.
        pause_s: A stream waits while the oldest unpublished event is older than this.
        counter: Counts what became of touchpoints.
        clock: The time.
    """

    single: Single
    ingest: IngestTouchpoints
    validator: Validator
    backlog: Backlog
    pause_s: float
    counter: Counter
    clock: Clock

    async def IngestTouchpoint(
        self, request: ingest_pb2.IngestTouchpointRequest, context: Context
    ) -> ingest_pb2.IngestedTouchpoint:
        """Take in one touchpoint."""
        answer = await self.single(AskedTouchpoint(request_of(request), raw_of(request.touchpoint)))
        if isinstance(answer, RapportError):
            self._count_error(answer)
            raise answer
        self._count(_outcome(answer))
        return answer

    async def IngestTouchpoints(
        self, request_iterator: AsyncIterator[ingest_pb2.IngestTouchpointsRequest], context: Context
    ) -> AsyncIterator[ingest_pb2.IngestTouchpointsResponse]:
        """Take in batches, each answered once it is durable, no faster than their events are published."""
        looked_at = 0.0
        async with aclosing(one_ahead(request_iterator)) as batches:
            async for batch in batches:
                if time.monotonic() - looked_at > _LOOK_AGAIN_S:
                    await self._wait_for_relay()
                    looked_at = time.monotonic()
                yield ingest_pb2.IngestTouchpointsResponse(batch=batch.batch, results=await self._batch(batch))

    async def _batch(self, batch: ingest_pb2.IngestTouchpointsRequest) -> list[ingest_pb2.IngestTouchpointsResult]:
        """Return what became of each touchpoint: refused ones with their fault, all others durable."""
        answers: list[Ingested | RapportError | None] = [None] * len(batch.touchpoints)
        valid: list[tuple[int, RawTouchpoint]] = []
        for at, message in enumerate(batch.touchpoints):
            try:
                if found := self.validator.collect_violations(message):
                    raise invalid_request(found)
                valid.append((at, raw_of(message)))
            except RapportError as error:
                answers[at] = error
            if at % READ_AT_ONCE == 0:
                await asyncio.sleep(0)  # others are answered in between
        for first in range(0, len(valid), TOGETHER):
            part = valid[first : first + TOGETHER]
            for (at, _), answer in zip(part, await self.ingest([raw for _, raw in part]), strict=True):
                answers[at] = answer
        return [self._result(at, answer) for at, answer in enumerate(answers) if answer is not None]

    def _result(self, at: int, answer: Ingested | RapportError) -> ingest_pb2.IngestTouchpointsResult:
        if isinstance(answer, RapportError):
            self._count_error(answer)
            return ingest_pb2.IngestTouchpointsResult(status=encode(under(answer, f"touchpoints[{at}]"), ""))
        message = ingested_message(answer)
        self._count(_outcome(message))
        return ingest_pb2.IngestTouchpointsResult(status=_OK, ingested=message)

    async def _wait_for_relay(self) -> None:
        """What is urgent must not wait behind a bulk load: pause while the oldest event is too old."""
        while await self.backlog.oldest_unpublished_s() > self.pause_s:
            await self.clock.sleep(_LOOK_EVERY_S)

    def _count_error(self, error: RapportError) -> None:
        self._count("waiting" if error.reason.retryable else "faulty")

    def _count(self, outcome: str) -> None:
        self.counter.of(outcome).add()


def _outcome(message: ingest_pb2.IngestedTouchpoint) -> str:
    if message.known:
        return "known"
    return ingest_pb2.TouchpointOutcome.Name(message.outcome).removeprefix("TOUCHPOINT_OUTCOME_").lower()
