"""What stands beside the notification service in tests: identity and consent, as far as it asks them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import grpc
from rapport.consent.v1 import consent_pb2, privacy_pb2, privacy_pb2_grpc
from rapport.identity.v1 import identity_pb2, identity_pb2_grpc, touchpoint_pb2


class Thread:
    """A loop in a thread of the test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Any) -> Any:
        """Return what a coroutine returns in that loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def stop(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class AddressBook(identity_pb2_grpc.IdentityServiceServicer):
    """Identity as far as notification asks it: addresses, given to whoever the test says.

    Attributes:
        emails: By profile.
        phones: The same.
        away: Whether it cannot be asked.
        undecided: How often it still answers that its gate cannot say.
    """

    def __init__(self) -> None:
        self.emails: dict[str, str] = {}
        self.phones: dict[str, str] = {}
        self.away = False
        self.undecided = 0

    async def GetContactPoints(
        self, request: identity_pb2.GetContactPointsRequest, context: Any
    ) -> identity_pb2.GetContactPointsResponse:
        """Return how a person may be reached."""
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        answer = identity_pb2.GetContactPointsResponse(current_profile_id=request.profile_id)
        if self.undecided:
            self.undecided -= 1
            answer.withheld, answer.decision.answer = 1, consent_pb2.ANSWER_DENY_STALE
            return answer
        if request.channel == touchpoint_pb2.CHANNEL_EMAIL and request.profile_id in self.emails:
            point = answer.contact_points.add(
                contact_point_id=f"cnt_{request.profile_id[4:]}", email=self.emails[request.profile_id], locale="en"
            )
            point.name.given_names, point.name.surname = "Zoë", "Vantongeren"
        elif request.channel == touchpoint_pb2.CHANNEL_SMS and request.profile_id in self.phones:
            answer.contact_points.add(
                contact_point_id=f"cnt_{request.profile_id[4:]}", phone=self.phones[request.profile_id], locale="en"
            )
        return answer

    async def LookupProfile(
        self, request: identity_pb2.LookupProfileRequest, context: Any
    ) -> identity_pb2.LookupProfileResponse:
        """Know people by their number."""
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        found = [who for who, number in self.phones.items() if number == request.identifier.value]
        if not found:
            return identity_pb2.LookupProfileResponse(outcome=identity_pb2.LOOKUP_OUTCOME_NOT_FOUND)
        return identity_pb2.LookupProfileResponse(outcome=identity_pb2.LOOKUP_OUTCOME_FOUND, profile_id=found[0])


class RequestVault(privacy_pb2_grpc.PrivacyRequestServiceServicer):
    """Consent as far as notification asks it about privacy requests: contacts of those that the test names.

    Attributes:
        emails: By request.
        taken: Requests and notifications that a contact was given for.
    """

    def __init__(self) -> None:
        self.emails: dict[str, str] = {}
        self.taken: list[tuple[str, str]] = []

    async def TakeRequestContact(
        self, request: privacy_pb2.TakeRequestContactRequest, context: Any
    ) -> privacy_pb2.TakeRequestContactResponse:
        """Return how a requester may be reached."""
        if request.request_id not in self.emails:
            await context.abort(grpc.StatusCode.NOT_FOUND, "emptied")
        self.taken.append((request.request_id, request.notification_id))
        answer = privacy_pb2.TakeRequestContactResponse(locale="de")
        answer.contact.email = self.emails[request.request_id]
        return answer
