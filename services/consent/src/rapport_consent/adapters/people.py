"""What identity knows of whom a request is about."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from uuid import NAMESPACE_URL, uuid5

from rapport.identity.v1 import (
    events_pb2,
    explanation_pb2,
    identity_pb2,
    identity_pb2_grpc,
    record_pb2,
    steward_pb2,
    touchpoint_pb2,
)
from rapport_chassis.errors import RapportError

from rapport_consent.adapters.peers import Peers
from rapport_consent.domain.request_words import Choice
from rapport_consent.domain.requests import Request, SubjectRecord
from rapport_consent.domain.vault import Contact

_CERTAIN = frozenset({explanation_pb2.MATCH_DECIDER_CONSTRAINT})


class People:
    """Asks identity.

    Args:
        peers: Where identity is.
        purpose_id: For which contact points on file are used.
        sure_bits: Records joined by less evidence are doubtful.
    """

    def __init__(self, peers: Peers, *, purpose_id: str, sure_bits: float) -> None:
        self._peers = peers
        self._purpose_id = purpose_id
        self._sure_bits = sure_bits

    async def find(self, email: str, phone: str, market: str) -> str:
        """Return the one profile an address or number belongs to; empty if there is none, or more."""
        kind, value = (events_pb2.IDENTIFIER_KIND_EMAIL, email) if email else (events_pb2.IDENTIFIER_KIND_PHONE, phone)
        try:
            answer = await self._identity.LookupProfile(
                identity_pb2.LookupProfileRequest(
                    identifier=record_pb2.Identifier(kind=kind, value=value), market=market
                )
            )
        except RapportError as error:
            if error.reason.code == "INVALID_ARGUMENT":  # what was typed is no address: nobody has it
                return ""
            raise
        return answer.profile_id if answer.outcome == identity_pb2.LOOKUP_OUTCOME_FOUND else ""

    async def records(self, profile_id: str) -> list[SubjectRecord]:
        """Return a person's records with how surely they are joined; none for one who is not known."""
        told = await self._explained(profile_id)
        weakest = weakest_links(len(told.leaves), told.joins, self._sure_bits)
        return [
            SubjectRecord(
                ref=_ref(leaf.record),
                source=leaf.record.source,
                profile_id=leaf.recorded_under,
                link_bits=weakest.get(at),
                doubtful=at in weakest,
            )
            for at, leaf in enumerate(told.leaves)
        ]

    async def exclude(self, request: Request) -> None:
        """Have the records that were excluded leave the person's profile, and never come back to it; may be repeated.

        Raises:
            RapportError: Identity cannot do so now; or an earlier decision demands the opposite, which a steward
                has to take back first.
        """
        excluded = {each.ref: each.chosen_by for each in request.records if each.choice is Choice.EXCLUDED}
        told = await self._explained(request.profile_id)
        leaving = [leaf.record for leaf in told.leaves if _ref(leaf.record) in excluded]
        if not leaving:
            return  # done already, or somebody else did it
        named = ",".join(sorted(map(_ref, leaving)))
        await self._identity.ExcludeRecords(
            steward_pb2.ExcludeRecordsRequest(
                request_id=str(uuid5(NAMESPACE_URL, f"{request.id}/excluded/{request.reopened}/{named}")),
                profile_id=request.profile_id,
                records=leaving,
                privacy_request_id=request.id,
                decided_by=excluded[_ref(leaving[0])],
            )
        )

    async def contact(self, profile_id: str, market: str, brand_id: str) -> Contact:
        """Return where a person can be written to for a privacy request; empty if nothing is on file."""
        try:
            answer = await self._identity.GetContactPoints(
                identity_pb2.GetContactPointsRequest(
                    profile_id=profile_id,
                    channel=touchpoint_pb2.CHANNEL_EMAIL,
                    purpose_id=self._purpose_id,
                    brand_id=brand_id,
                    market=market,
                )
            )
        except RapportError as error:
            if error.reason.code == "NOT_FOUND":
                return Contact()
            raise
        for point in answer.contact_points:
            if point.email:
                return Contact(email=point.email)
        return Contact()

    async def _explained(self, profile_id: str) -> explanation_pb2.ProfileExplanation:
        """Return how a person's records came together; nothing of one who is not known."""
        try:
            return await self._identity.ExplainProfile(explanation_pb2.ExplainProfileRequest(profile_id=profile_id))
        except RapportError as error:
            if error.reason.code == "NOT_FOUND":
                return explanation_pb2.ProfileExplanation()
            raise

    @property
    def _identity(self) -> identity_pb2_grpc.IdentityServiceAsyncStub:
        return self._peers.stub("identity", identity_pb2_grpc.IdentityServiceStub)


def _ref(key: record_pb2.RecordKey) -> str:
    """Name a record without saying its key, which may say who the person is."""
    return sha256(f"{key.source}\0{key.source_record_id}".encode()).hexdigest()[:32]


def weakest_links(leaves: int, joins: Sequence[explanation_pb2.TreeJoin], sure_bits: float) -> dict[int, float]:
    """Return the records that less evidence than that holds to the others, with the weakest join that does.

    Of two branches joined so, the smaller one is doubted; of two alike, the one that came later.
    """
    members: list[list[int]] = [[at] for at in range(leaves)]
    found: dict[int, float] = {}
    for join in joins:
        left, right = members[join.left], members[join.right]
        if join.average_bits < sure_bits and join.decided_by not in _CERTAIN:
            for leaf in left if len(left) < len(right) else right:
                found[leaf] = min(found.get(leaf, join.average_bits), join.average_bits)
        members.append([*left, *right])
    return found
