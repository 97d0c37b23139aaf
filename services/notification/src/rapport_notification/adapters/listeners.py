"""Channels to browsers and systems: the newest endpoint of a person that is not left alone is called."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.outbound import Endpoint, EndpointRefusedError
from rapport_chassis.webhooks import WebhookKey

from rapport_notification.adapters.endpoints import EndpointStore, Secrets
from rapport_notification.app.carriers import Contact, ContactsAwayError, Parcel
from rapport_notification.app.messages import Stored
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.times import micros_of
from rapport_notification.domain.resolution import BLIND, Capability
from rapport_notification.domain.vocabulary import DAY_US, Channel, MessageClass
from rapport_notification.sending import web_push, webhook
from rapport_notification.sending.fields import Token
from rapport_notification.sending.http import Poster
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.providers import Provider, ProviderPool

_NEWEST: Final = (2**62, "")
_MOST: Final = 10
_TTL_S: Final = 86_400
_TEXT_LIMIT: Final = 1000
_RECEIVERS: Final = Capability(key_for_us=3 * DAY_US)
"""Standard Webhooks: a receiver knows a call by its id, and drops the second."""


class EndpointContacts:
    """Knows where browsers and systems of a person listen."""

    def __init__(self, database: Database, endpoints: EndpointStore, people: LedgerPeople, clock: Clock) -> None:
        self._database = database
        self._endpoints = endpoints
        self._people = people
        self._clock = clock

    async def find(self, message: Stored, channel: Channel, purpose_id: str) -> Contact | None:
        """Return the newest endpoint that answers; None if there is none.

        Raises:
            ContactsAwayError: The database is away.
        """
        if message.to_request:
            return None
        ids = self._people.ids_of(message.ask.recipient_id)
        try:
            async with self._database.transaction() as connection:
                found = await self._endpoints.of(connection, ids, channel, _NEWEST, _MOST)
        except RapportError as error:
            raise ContactsAwayError from error
        now_us = micros_of(self._clock.now())
        return next((Contact(each.endpoint_id) for each in found if each.paused_until_us <= now_us), None)


class _Listeners(ABC):
    """What both channels have in common.

    Args:
        database: Where endpoints are.
        endpoints: Opens them.
        read: Reads the URL of an endpoint that may be called.
        clock: The time.
        provider: What the pool calls it.
        capability: What it can do about a send in doubt.
    """

    stands_for_address = False

    def __init__(
        self,
        database: Database,
        endpoints: EndpointStore,
        read: Callable[[str], Endpoint],
        clock: Clock,
        provider: str,
        capability: Capability,
    ) -> None:
        self._database = database
        self._endpoints = endpoints
        self._read = read
        self._clock = clock
        kept = Provider(provider, capability, rate_per_s=500.0, burst=500.0, many=True)
        self.pool = ProviderPool([kept], clock.boottime())

    async def seen(self, provider: str, key: str) -> bool | None:
        """Nobody can be asked."""
        return None

    async def hand_over(self, provider: str, parcel: Parcel, may_send: Callable[[], bool]) -> Outcome:
        """Call the endpoint; one that is gone is forgotten."""
        try:
            async with self._database.transaction() as connection:
                endpoint = await self._endpoints.get(connection, parcel.contact.address)
        except RapportError:
            return Outcome(Handed.UNREACHABLE)
        if endpoint is None:
            return Outcome(Handed.REFUSED, status="5.1.1")
        secrets = self._endpoints.secrets(endpoint)
        try:
            where = self._read(secrets.url)
        except EndpointRefusedError:
            return Outcome(Handed.REFUSED, status="5.1.3")
        outcome = await self._call(where, secrets, parcel, may_send)
        gone = outcome.handed is Handed.REFUSED and outcome.code in (404, 410)
        if outcome.handed is not Handed.WITHDRAWN:
            try:
                async with self._database.transaction() as connection:
                    if gone:
                        await self._endpoints.remove(connection, endpoint.endpoint_id)
                    else:
                        now_us = micros_of(self._clock.now())
                        well = outcome.handed is Handed.SENT
                        await self._endpoints.answered(connection, endpoint.endpoint_id, well=well, now_us=now_us)
            except RapportError:
                pass  # what came of the call is known, and is kept by whoever asked for it
        return outcome

    @abstractmethod
    async def _call(self, where: Endpoint, secrets: Secrets, parcel: Parcel, may_send: Callable[[], bool]) -> Outcome:
        """Call an endpoint."""


class WebPushCarrier(_Listeners):
    """Notifications in a browser.

    Args:
        push: Sends them.
        read: Reads the URL of a push service that may be called.
        database: Where endpoints are.
        endpoints: Opens them.
        clock: The time.
    """

    def __init__(
        self,
        push: web_push.WebPush,
        read: Callable[[str], Endpoint],
        database: Database,
        endpoints: EndpointStore,
        clock: Clock,
    ) -> None:
        super().__init__(database, endpoints, read, clock, "web_push", BLIND)
        self._push = push

    async def _call(self, where: Endpoint, secrets: Secrets, parcel: Parcel, may_send: Callable[[], bool]) -> Outcome:
        content = {"id": parcel.notification_id, "title": parcel.texts.subject, "body": parcel.texts.text[:_TEXT_LIMIT]}
        return await self._push.send(
            web_push.Subscription(where, secrets.p256dh, secrets.auth),
            json.dumps(content, ensure_ascii=False).encode()[: web_push.PLAIN_LIMIT],
            now=round(self._clock.now().timestamp()),
            ttl_s=_TTL_S,
            urgency="high" if parcel.message_class is MessageClass.ONE_TIME else "normal",
            topic="",
            may_send=may_send,
        )


class WebhookCarrier(_Listeners):
    """Calls to systems that speak for a person.

    Args:
        poster: Posts.
        database: Where endpoints are.
        endpoints: Opens them.
        clock: The time.
    """

    def __init__(self, poster: Poster, database: Database, endpoints: EndpointStore, clock: Clock) -> None:
        super().__init__(database, endpoints, poster.endpoint, clock, "webhook", _RECEIVERS)
        self._poster = poster

    async def _call(self, where: Endpoint, secrets: Secrets, parcel: Parcel, may_send: Callable[[], bool]) -> Outcome:
        body = {
            "type": "notification",
            "timestamp": parcel.sent_at.isoformat(),
            "data": {
                "notification_id": parcel.notification_id,
                "category": parcel.category,
                "brand_id": parcel.brand_id,
                "locale": parcel.locale,
                "subject": parcel.texts.subject,
                "text": parcel.texts.text,
            },
        }
        data = json.dumps(body, ensure_ascii=False).encode()
        if len(data) > webhook.BODY_LIMIT:
            return Outcome(Handed.REFUSED, status="5.3.4")
        keys = [
            WebhookKey(secret=secrets.shared),
            WebhookKey(key=Ed25519PrivateKey.from_private_bytes(secrets.signing)),
        ]
        now = round(self._clock.now().timestamp())
        # Every attempt has the same id, whatever came of the one before: by it the receiver knows a repeat.
        return await webhook.call(self._poster, where, Token(parcel.notification_id), now, data, keys, may_send)
