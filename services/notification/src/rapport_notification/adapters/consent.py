"""The consent ledger, to be told who wants no more."""

from __future__ import annotations

from rapport.consent.v1 import consent_pb2, consent_pb2_grpc
from rapport_chassis.rpc.client import Client

from rapport_notification.app.unsubscribing import Wish


class ConsentLedger:
    """Writes to the ledger.

    Args:
        client: Calls the consent service.
    """

    def __init__(self, client: Client) -> None:
        self._stub = client.stub(consent_pb2_grpc.ConsentServiceStub)

    async def record(self, wish: Wish, *, withdraw: bool) -> int:
        """Withdraw consent or record an objection; return the position in the ledger.

        The time is left to the ledger: this clock may be ahead of its own, and what is in the future is refused.

        Raises:
            RapportError: It was refused, or cannot be reached.
        """
        request_id = str(wish.request_id)
        if withdraw:
            write = await self._stub.WithdrawConsent(
                consent_pb2.WithdrawConsentRequest(
                    request_id=request_id,
                    profile_id=wish.profile_id,
                    purpose_ids=wish.purpose_ids,
                    brand_id=wish.brand_id,
                )
            )
        else:
            write = await self._stub.RecordObjection(
                consent_pb2.RecordObjectionRequest(
                    request_id=request_id,
                    profile_id=wish.profile_id,
                    purpose_ids=wish.purpose_ids,
                    direct_marketing=not wish.purpose_ids,
                    brand_id=wish.brand_id,
                )
            )
        return int(write.token.position)
