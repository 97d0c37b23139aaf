"""Contact points of IdentityService: the one way in which an address leaves this service for an effect."""

from __future__ import annotations

from dataclasses import dataclass

from rapport.identity.v1 import identity_pb2
from rapport_chassis.rpc.pipeline import ServicerContext as Context

from rapport_identity.app.contact_points import GetContactPoints
from rapport_identity.translate.contacts import asked_of, points_of, reach_message


@dataclass(frozen=True)
class Contacts:
    """Hands out contact points as far as the gate permits.

    Attributes:
        contact_points: Reads them and asks the gate.
    """

    contact_points: GetContactPoints

    async def GetContactPoints(
        self, request: identity_pb2.GetContactPointsRequest, context: Context
    ) -> identity_pb2.GetContactPointsResponse:
        """Return how a person may be reached for a purpose, on one channel."""
        reach = await self.contact_points(asked_of(request), lambda held: points_of(held, request.channel))
        return reach_message(reach)
