"""rapport.identity.v1.MatcherService over gRPC, and its long work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from google.longrunning import operations_pb2
from rapport.identity.v1 import matcher_pb2, matcher_pb2_grpc
from rapport_chassis.clock import Clock
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.ids import new_id
from rapport_chassis.once import Once, actor
from rapport_chassis.operations import Running
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.pipeline import current_call
from rapport_chassis.times import set_stamp

from rapport_identity.app.activate import activate
from rapport_identity.app.computing import Phase, Report
from rapport_identity.app.matchers import Matchers, get_matcher
from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.preview import PreviewMatcher
from rapport_identity.app.train import TrainMatcher, import_model
from rapport_identity.entrypoints.grpc_records import MOST, PAGE
from rapport_identity.entrypoints.ports import Operations
from rapport_identity.translate.matchers import matcher_message, preview_message, work_message

SERVICE: Final = matcher_pb2.DESCRIPTOR.services_by_name["MatcherService"]
TRAIN: Final = f"{SERVICE.full_name}/TrainMatcher"
PREVIEW: Final = f"{SERVICE.full_name}/PreviewMatcher"

MOST_FREQUENCIES: Final = 1_000_000
"""Frequencies of one import at most."""

_CHANGES: Final = 100
_PROGRESS: Final = {
    Phase.READING: (0.0, 0.3),
    Phase.TRAINING: (0.3, 0.9),
    Phase.CHECKING: (0.9, 1.0),
    Phase.JOINING: (0.3, 1.0),
}
"""The share of the whole in which each phase begins and ends."""


@dataclass(frozen=True)
class Import:
    """A whole import, as one request that takes effect once."""

    request_id: str
    body: bytes

    def SerializeToString(self, *, deterministic: bool) -> bytes:
        """Return what tells it from another import under the same request id."""
        return self.body


@dataclass(frozen=True)
class MatcherServicer(matcher_pb2_grpc.MatcherServiceServicer):
    """Matchers, and which of them decides.

    Attributes:
        once: Runs each change in a transaction, once.
        partition: What they join.
        matchers: Where they are kept.
        operations: Starts long work.
        clock: Says when it began.
    """

    once: Once[Session]
    partition: Partition
    matchers: Matchers
    operations: Operations
    clock: Clock

    async def TrainMatcher(
        self, request: matcher_pb2.TrainMatcherRequest, context: Context
    ) -> operations_pb2.Operation:
        """Start a training."""
        return await self._start(request, TRAIN)

    async def PreviewMatcher(
        self, request: matcher_pb2.PreviewMatcherRequest, context: Context
    ) -> operations_pb2.Operation:
        """Start a preview."""
        async with self.partition.units.unit() as unit:
            await get_matcher(self.matchers, unit, request.matcher_id)
        return await self._start(request, PREVIEW)

    async def ImportMatcher(
        self, requests: AsyncIterator[matcher_pb2.ImportMatcherRequest], context: Context
    ) -> matcher_pb2.Matcher:
        """Import a model that was trained elsewhere."""
        header: matcher_pb2.ImportMatcherHeader | None = None
        body = sha256()
        frequencies: dict[str, dict[str, float]] = {}
        count = 0
        async for request in requests:
            body.update(sha256(request.SerializeToString(deterministic=True)).digest())
            if (request.WhichOneof("message") == "header") is (header is not None):
                raise CHASSIS_ERRORS.error("INVALID_REQUEST", "the header comes first, and once", field="header")
            if header is None:
                header = request.header
                continue
            count += len(request.frequencies.terms)
            if count > MOST_FREQUENCIES:
                raise CHASSIS_ERRORS.error("INVALID_REQUEST", "too many frequencies", field="frequencies")
            for term in request.frequencies.terms:
                frequencies.setdefault(term.column, {})[term.value] = term.frequency
        if header is None:
            raise CHASSIS_ERRORS.error("INVALID_REQUEST", "there is no header", field="header")
        draft = await import_model(
            self.matchers,
            header.splink_model,
            frequencies,
            join=header.join_bits if header.HasField("join_bits") else None,
            fracture=header.fracture_bits if header.HasField("fracture_bits") else None,
        )
        matcher_id = new_id("matcher")

        async def effect(session: Session) -> matcher_pb2.Matcher:
            await self.matchers.add(session.unit, matcher_id, draft)
            return matcher_message(await get_matcher(self.matchers, session.unit, matcher_id))

        whole = Import(header.request_id, body.digest())
        return await self.once.run(whole, matcher_pb2.Matcher, effect, target=matcher_id)

    async def GetMatcher(self, request: matcher_pb2.GetMatcherRequest, context: Context) -> matcher_pb2.Matcher:
        """Return a matcher with its weights."""
        if not request.matcher_id:
            await self.partition.refresh()
        async with self.partition.units.unit() as unit:
            matcher_id = request.matcher_id or self.partition.matcher_id
            return matcher_message(await get_matcher(self.matchers, unit, matcher_id))

    async def ListMatchers(
        self, request: matcher_pb2.ListMatchersRequest, context: Context
    ) -> matcher_pb2.ListMatchersResponse:
        """List matchers, the newest first."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        after = (datetime.fromisoformat(str(cursor[0])), str(cursor[1])) if cursor else None
        async with self.partition.units.unit() as unit:
            found = await self.matchers.page(unit, after, size + 1)
        page = found[:size]
        token = ""
        if len(found) > size:
            token = next_page_token(request, (page[-1].created_at.isoformat(), page[-1].matcher_id))
        return matcher_pb2.ListMatchersResponse(
            matchers=[matcher_message(each, whole=False) for each in page], next_page_token=token
        )

    async def ActivateMatcher(
        self, request: matcher_pb2.ActivateMatcherRequest, context: Context
    ) -> matcher_pb2.Matcher:
        """Let a matcher decide."""
        most = request.max_records_moved if request.HasField("max_records_moved") else None

        async def effect(session: Session) -> matcher_pb2.Matcher:
            found = await activate(
                session, self.matchers, request.matcher_id, actor=actor(), reason=request.reason, most_moved=most
            )
            return matcher_message(found)

        return await self.once.run(
            request, matcher_pb2.Matcher, effect, target=request.matcher_id, reason=request.reason
        )

    async def _start(
        self, request: matcher_pb2.TrainMatcherRequest | matcher_pb2.PreviewMatcherRequest, method: str
    ) -> operations_pb2.Operation:
        began = matcher_pb2.MatcherWorkMetadata()
        set_stamp(began.started_at, self.clock.now())
        caller = current_call().caller

        async def effect(session: Session) -> operations_pb2.Operation:
            return await self.operations.submit(
                session.unit, method=method, caller=caller, request=request, metadata=began
            )

        return await self.once.run(request, operations_pb2.Operation, effect, target=method)


@dataclass(frozen=True)
class MatcherWork:
    """Carries out what was started.

    Attributes:
        train: Trains.
        preview: Previews.
        clock: Says when it began.
    """

    train: TrainMatcher
    preview: PreviewMatcher
    clock: Clock

    async def trained(self, running: Running) -> matcher_pb2.Matcher:
        """Train a matcher; begun again after a kill, it is kept under the same id."""
        request = matcher_pb2.TrainMatcherRequest.FromString(running.request)
        matcher_id = f"mat_{running.operation_id.partition('_')[2]}"
        version = await self.train(matcher_id, request.seed, request.max_records, self._reporting(running))
        return matcher_message(version)

    async def previewed(self, running: Running) -> matcher_pb2.MatcherPreview:
        """Preview a matcher."""
        request = matcher_pb2.PreviewMatcherRequest.FromString(running.request)
        most = request.max_changes or _CHANGES
        return preview_message(await self.preview(request.matcher_id, most, self._reporting(running)))

    def _reporting(self, running: Running) -> Report:
        began = self.clock.now()

        async def report(phase: Phase, done: int, total: int) -> None:
            begins, ends = _PROGRESS[phase]
            share = done / total if total else 0.0
            await running.report(begins + share * (ends - begins), work_message(phase, done, total, began))

        return report
