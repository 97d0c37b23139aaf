"""What identity knows of whom a request is about."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from rapport.identity.v1 import (
    events_pb2,
    explanation_pb2,
    identity_pb2,
    identity_pb2_grpc,
    record_pb2,
    touchpoint_pb2,
)
from rapport_chassis.errors import RapportError

from rapport_consent.adapters.peers import Peers
from rapport_consent.domain.requests import SubjectRecord
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
        try:
            told = await self._identity.ExplainProfile(explanation_pb2.ExplainProfileRequest(profile_id=profile_id))
        except RapportError as error:
            if error.reason.code == "NOT_FOUND":
                return []
            raise
        weakest = weakest_links(len(told.leaves), told.joins, self._sure_bits)
        return [
            SubjectRecord(
                ref=sha256(f"{leaf.record.source}\0{leaf.record.source_record_id}".encode()).hexdigest()[:32],
                source=leaf.record.source,
                profile_id=leaf.recorded_under,
                link_bits=weakest.get(at),
                doubtful=at in weakest,
            )
            for at, leaf in enumerate(told.leaves)
        ]

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

    @property
    def _identity(self) -> identity_pb2_grpc.IdentityServiceAsyncStub:
        return self._peers.stub("identity", identity_pb2_grpc.IdentityServiceStub)


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
