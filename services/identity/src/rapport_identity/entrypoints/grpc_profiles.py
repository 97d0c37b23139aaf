"""Profiles of IdentityService: whose an identifier is, who somebody could be, what is known. Nothing here writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from google.rpc import code_pb2, status_pb2
from rapport.identity.v1 import identity_pb2, profile_pb2
from rapport_chassis.errors import RapportError
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.status import encode
from rapport_chassis.times import moment

from rapport_identity.app.look_up import look_up, search
from rapport_identity.app.partition import Partition
from rapport_identity.app.profiles import Wanted, get_profile, get_profiles, list_profiles
from rapport_identity.app.relations import relations
from rapport_identity.domain.records import RecordKey
from rapport_identity.entrypoints.grpc_records import MOST, PAGE
from rapport_identity.entrypoints.ports import IdMap
from rapport_identity.translate.answers import (
    RELATION_KINDS,
    found_message,
    profile_message,
    relation_message,
    searched_message,
    token_of,
)
from rapport_identity.translate.records import normal_form, person_of

_CANDIDATES = 10


@dataclass(frozen=True)
class Profiles:
    """Answers from the replica where that suffices, else from the database.

    Attributes:
        partition: What is known.
        id_map: Every id ever issued.
    """

    partition: Partition
    id_map: IdMap

    async def LookupProfile(
        self, request: identity_pb2.LookupProfileRequest, context: Context
    ) -> identity_pb2.LookupProfileResponse:
        """Say whose an identifier is, from memory."""
        await self._know(request)
        found = look_up(self.partition, normal_form(request.identifier, request.market))
        return found_message(found, self.partition.token)

    async def SearchProfiles(
        self, request: identity_pb2.SearchProfilesRequest, context: Context
    ) -> identity_pb2.SearchProfilesResponse:
        """Say who somebody could be, from memory."""
        await self._know(request)
        searched = search(
            self.partition,
            person_of(RecordKey("", ""), request.person, request.market),
            most=request.max_results or _CANDIDATES,
            unlikely=request.include_unlikely,
        )
        return searched_message(searched, self.partition.matcher_id, self.partition.token)

    async def GetProfile(self, request: profile_pb2.GetProfileRequest, context: Context) -> profile_pb2.Profile:
        """Return a profile, also as of a time."""
        as_of = moment(request.as_of) if request.HasField("as_of") else None
        return profile_message(await get_profile(self.partition, request.profile_id, as_of))

    async def BatchGetProfiles(
        self, request: profile_pb2.BatchGetProfilesRequest, context: Context
    ) -> profile_pb2.BatchGetProfilesResponse:
        """Return many profiles; one that there is not is an answer here, not an error."""
        as_of = moment(request.as_of) if request.HasField("as_of") else None
        results = []
        for found in await get_profiles(self.partition, request.profile_ids, as_of):
            if isinstance(found, RapportError):
                results.append(profile_pb2.BatchGetProfilesResult(status=encode(found, "")))
            else:
                status = status_pb2.Status(code=code_pb2.OK)
                results.append(profile_pb2.BatchGetProfilesResult(status=status, profile=profile_message(found)))
        return profile_pb2.BatchGetProfilesResponse(results=results)

    async def ListProfiles(
        self, request: profile_pb2.ListProfilesRequest, context: Context
    ) -> profile_pb2.ListProfilesResponse:
        """List profiles, by id."""
        (after,) = cursor_of(request, request.page_token) or ("",)
        since = moment(request.updated_since) if request.HasField("updated_since") else None
        wanted = Wanted(request.brand_id, request.market, since, request.known_only)
        page, on = await list_profiles(self.partition, wanted, str(after), min(request.page_size or PAGE, MOST))
        return profile_pb2.ListProfilesResponse(
            profiles=map(profile_message, page), next_page_token=next_page_token(request, (on,)) if on else ""
        )

    async def ListRelations(
        self, request: profile_pb2.ListRelationsRequest, context: Context
    ) -> profile_pb2.ListRelationsResponse:
        """List households, shared devices and shared contact points of a profile."""
        size = min(request.page_size or PAGE, MOST)
        after = cursor_of(request, request.page_token) or ("", "")
        held = await get_profile(self.partition, request.profile_id)
        kind = RELATION_KINDS.get(request.kind)
        rest = [
            each
            for each in relations(self.partition.replica, held.profile.profile_id)
            if kind in (None, each.kind) and (each.kind.value, each.profile_id) > after
        ]
        last = rest[size - 1] if len(rest) > size else None
        return profile_pb2.ListRelationsResponse(
            relations=map(relation_message, rest[:size]),
            next_page_token=next_page_token(request, (last.kind.value, last.profile_id)) if last else "",
        )

    async def StreamIdMap(
        self, request: identity_pb2.StreamIdMapRequest, context: Context
    ) -> AsyncIterator[identity_pb2.StreamIdMapResponse]:
        """Stream every id and what it stands for."""
        async with aclosing(self.id_map.stream()) as messages:
            async for message in messages:
                yield message

    async def _know(self, request: Any) -> None:
        if request.HasField("at_least"):
            await self.partition.know(token_of(request.at_least))
