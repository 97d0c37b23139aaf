"""Whose number one is: asked of identity, and not kept."""

from __future__ import annotations

from rapport.identity.v1 import events_pb2, identity_pb2, identity_pb2_grpc, record_pb2
from rapport_chassis.rpc.client import Client


class IdentityOwners:
    """Asks identity.

    Args:
        client: Calls it.
    """

    def __init__(self, client: Client) -> None:
        self._stub = client.stub(identity_pb2_grpc.IdentityServiceStub)

    async def of_number(self, number: str) -> str:
        """Return the profile that alone is known by a number; "" if there is none.

        Raises:
            RapportError: Identity cannot be asked now.
        """
        answer = await self._stub.LookupProfile(
            identity_pb2.LookupProfileRequest(
                identifier=record_pb2.Identifier(kind=events_pb2.IDENTIFIER_KIND_PHONE, value=number)
            )
        )
        found = answer.outcome == identity_pb2.LOOKUP_OUTCOME_FOUND
        return str(answer.profile_id) if found else ""
