"""Single calls that come at the same time, answered from batches: each once, in one transaction with its request id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rapport.identity.v1 import identity_pb2, ingest_pb2
from rapport_chassis.errors import RapportError
from rapport_chassis.once import Request, answer_batch

from rapport_identity.app.facts import RawTouchpoint
from rapport_identity.app.partition import Partition
from rapport_identity.app.records import TakeInRecords, in_parts
from rapport_identity.app.stored import Submission
from rapport_identity.app.touchpoints import IngestTouchpoints
from rapport_identity.entrypoints.paths import under
from rapport_identity.translate.answers import resolved_message
from rapport_identity.translate.touchpoints import ingested_message


class AskedRecord(NamedTuple):
    """One call of ResolveRecord: the request, and the record in it."""

    request: Request
    submission: Submission


class AskedTouchpoint(NamedTuple):
    """One call of IngestTouchpoint: the request, and the touchpoint in it."""

    request: Request
    touchpoint: RawTouchpoint


@dataclass(frozen=True)
class SingleRecords:
    """Answers calls of ResolveRecord.

    Attributes:
        partition: What the records are in.
        take_in: Takes them in.
    """

    partition: Partition
    take_in: TakeInRecords

    async def __call__(self, asked: Sequence[AskedRecord]) -> list[identity_pb2.ResolvedRecord | RapportError]:
        """Answer calls, in one transaction where none must be left out.

        Raises:
            RapportError: NOT_READY.
        """
        return await in_parts(self._together, asked)

    async def _together(self, asked: Sequence[AskedRecord]) -> list[identity_pb2.ResolvedRecord | RapportError]:
        async with self.partition.session() as session:

            async def effect(new: Sequence[int]) -> list[identity_pb2.ResolvedRecord | RapportError]:
                resolved = await self.take_in.within(session, [asked[at].submission for at in new])
                return [
                    under(each, "record") if isinstance(each, RapportError) else resolved_message(each)
                    for each in resolved
                ]

            requests = [each.request for each in asked]
            return await answer_batch(session.unit, requests, identity_pb2.ResolvedRecord, effect)


@dataclass(frozen=True)
class SingleTouchpoints:
    """Answers calls of IngestTouchpoint.

    Attributes:
        partition: Whose touchpoints they are.
        ingest: Takes them in.
    """

    partition: Partition
    ingest: IngestTouchpoints

    async def __call__(self, asked: Sequence[AskedTouchpoint]) -> list[ingest_pb2.IngestedTouchpoint | RapportError]:
        """Answer calls, in one transaction.

        Raises:
            RapportError: NOT_READY.
        """
        async with self.partition.session() as session:

            async def effect(new: Sequence[int]) -> list[ingest_pb2.IngestedTouchpoint | RapportError]:
                ingested = await self.ingest.within(session, [asked[at].touchpoint for at in new])
                return [
                    under(each, "touchpoint") if isinstance(each, RapportError) else ingested_message(each)
                    for each in ingested
                ]

            requests = [each.request for each in asked]
            return await answer_batch(session.unit, requests, ingest_pb2.IngestedTouchpoint, effect)
