"""Stewards' decisions of IdentityService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rapport.identity.v1 import steward_pb2
from rapport_chassis.once import Once, actor
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context

from rapport_identity.app import steward
from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.profiles import get_profile
from rapport_identity.app.steward import Decision
from rapport_identity.domain.records import RecordKey
from rapport_identity.entrypoints.grpc_records import MOST, PAGE
from rapport_identity.translate.answers import KeyOf, constraint_message, decision_message, key_of


@dataclass(frozen=True)
class Stewards:
    """Decisions that hold whatever the evidence says, until they are withdrawn.

    Attributes:
        once: Runs each in a transaction, once.
        partition: What is decided about.
    """

    once: Once[Session]
    partition: Partition

    async def MergeProfiles(
        self, request: steward_pb2.MergeProfilesRequest, context: Context
    ) -> steward_pb2.StewardDecision:
        """Make profiles one."""
        return await self._decide(
            request,
            lambda session: steward.merge(session, request.profile_ids, actor=actor(), reason=request.reason),
            target=request.profile_ids[0],
        )

    async def SplitProfile(
        self, request: steward_pb2.SplitProfileRequest, context: Context
    ) -> steward_pb2.StewardDecision:
        """Take records out of a profile, and keep them out."""
        leaving = [[key_of(each) for each in group.records] for group in request.leaving]
        return await self._decide(
            request,
            lambda session: steward.split(session, request.profile_id, leaving, actor=actor(), reason=request.reason),
            target=request.profile_id,
        )

    async def ExcludeRecords(
        self, request: steward_pb2.ExcludeRecordsRequest, context: Context
    ) -> steward_pb2.StewardDecision:
        """Take records out of a profile, and keep them out, for whoever decides a privacy request."""
        leaving = [[key_of(each) for each in request.records]]
        by, reason = request.decided_by, request.privacy_request_id

        async def effect(session: Session) -> steward_pb2.StewardDecision:
            decision = await steward.split(session, request.profile_id, leaving, actor=by, reason=reason)
            return decision_message(decision, self._key_of)

        return await self.once.run(
            request, steward_pb2.StewardDecision, effect, target=request.profile_id, reason=reason
        )

    async def ForbidMatch(
        self, request: steward_pb2.ForbidMatchRequest, context: Context
    ) -> steward_pb2.StewardDecision:
        """Keep two records apart."""
        first, second = key_of(request.first), key_of(request.second)
        return await self._decide(
            request, lambda session: steward.forbid(session, first, second, actor=actor(), reason=request.reason)
        )

    async def WithdrawConstraint(
        self, request: steward_pb2.WithdrawConstraintRequest, context: Context
    ) -> steward_pb2.StewardDecision:
        """Take a merge, split or ban back."""
        return await self._decide(
            request,
            lambda session: steward.withdraw(session, request.constraint_id, actor=actor()),
            target=request.constraint_id,
        )

    async def ListConstraints(
        self, request: steward_pb2.ListConstraintsRequest, context: Context
    ) -> steward_pb2.ListConstraintsResponse:
        """List constraints, the newest first."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        after = (datetime.fromisoformat(str(cursor[0])), str(cursor[-1])) if cursor else None
        numbers = None
        if request.profile_id:
            await self.partition.refresh()
            numbers = (await get_profile(self.partition, request.profile_id)).numbers
        async with self.partition.units.unit() as unit:
            found = await unit.constraints_page(numbers, after, size + 1, withdrawn=request.include_withdrawn)
        page = found[:size]
        return steward_pb2.ListConstraintsResponse(
            constraints=[constraint_message(each, self._key_of) for each in page],
            next_page_token=next_page_token(request, (page[-1].created_at.isoformat(), page[-1].constraint_id))
            if len(found) > size
            else "",
        )

    async def _decide(
        self, request: Any, decide: Callable[[Session], Awaitable[Decision]], *, target: str = ""
    ) -> steward_pb2.StewardDecision:
        async def effect(session: Session) -> steward_pb2.StewardDecision:
            return decision_message(await decide(session), self._key_of)

        return await self.once.run(request, steward_pb2.StewardDecision, effect, target=target, reason=request.reason)

    @property
    def _key_of(self) -> KeyOf:
        index = self.partition.replica.index

        def key(number: int) -> RecordKey | None:
            return index[number].key if number in index else None

        return key
