"""Addresses of people, from identity, and of privacy requests, from consent: asked for at the send, never kept."""

from __future__ import annotations

from typing import Final

from rapport.consent.v1 import consent_pb2, privacy_pb2, privacy_pb2_grpc
from rapport.identity.v1 import identity_pb2, identity_pb2_grpc, touchpoint_pb2
from rapport_chassis.errors import RapportError
from rapport_chassis.rpc.client import Client

from rapport_notification.app.carriers import Contact, ContactsAwayError
from rapport_notification.app.messages import Stored
from rapport_notification.domain.vocabulary import Channel

_CHANNELS: Final = {
    Channel.EMAIL: touchpoint_pb2.CHANNEL_EMAIL,
    Channel.SMS: touchpoint_pb2.CHANNEL_SMS,
}
_PASSING: Final = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL", "UNKNOWN"}
)
_UNDECIDED: Final = frozenset({consent_pb2.ANSWER_DENY_STALE, consent_pb2.ANSWER_DENY_UNKNOWN})


class IdentityContacts:
    """Asks identity.

    Args:
        client: Calls it; None where it is not known where it is.
    """

    def __init__(self, client: Client | None) -> None:
        self._stub = client.stub(identity_pb2_grpc.IdentityServiceStub) if client is not None else None

    async def find(self, message: Stored, channel: Channel, purpose_id: str) -> Contact | None:
        """Return how a person is reached; None if that is not known, or not for this purpose.

        Raises:
            ContactsAwayError: Identity cannot be asked now.
        """
        if self._stub is None:
            raise ContactsAwayError
        request = identity_pb2.GetContactPointsRequest(
            profile_id=message.ask.recipient_id,
            channel=_CHANNELS[channel],
            purpose_id=purpose_id,
            brand_id=message.ask.brand_id,
            market=message.ask.market,
        )
        try:
            answer = await self._stub.GetContactPoints(request)
        except RapportError as error:
            if error.reason.code in _PASSING or error.reason.retryable:
                raise ContactsAwayError from error
            return None
        for each in answer.contact_points:
            address = each.email if channel is Channel.EMAIL else each.phone
            if address:
                name = each.name
                return Contact(address, each.contact_point_id, name.given_names, name.surname, each.locale)
        if answer.withheld and answer.decision.answer in _UNDECIDED:
            raise ContactsAwayError  # its gate cannot say now whether the address may be used, which is no refusal
        return None


class RequestContacts:
    """Asks consent for the contact of a privacy request.

    Args:
        client: Calls it; None where it is not known where it is.
    """

    def __init__(self, client: Client | None) -> None:
        self._stub = client.stub(privacy_pb2_grpc.PrivacyRequestServiceStub) if client is not None else None

    async def find(self, message: Stored, channel: Channel, purpose_id: str) -> Contact | None:
        """Return how a requester is reached; None if the vault does not hold it any more.

        Raises:
            ContactsAwayError: Consent cannot be asked now.
        """
        if self._stub is None:
            raise ContactsAwayError
        request = privacy_pb2.TakeRequestContactRequest(
            request_id=message.ask.recipient_id, notification_id=message.notification_id
        )
        try:
            answer = await self._stub.TakeRequestContact(request)
        except RapportError as error:
            if error.reason.code in _PASSING or error.reason.retryable:
                raise ContactsAwayError from error
            return None
        if not answer.contact.email:
            return None
        return Contact(answer.contact.email, family_name=answer.contact.name, locale=answer.locale)
