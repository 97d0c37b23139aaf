"""The channel inside a site or an application: a message is a row in an inbox, which is there once or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError

from rapport_notification.adapters import inboxes
from rapport_notification.app.carriers import Contact, Parcel
from rapport_notification.app.messages import Stored
from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.times import micros_of
from rapport_notification.domain.resolution import Capability
from rapport_notification.domain.vocabulary import DAY_US, Channel
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.providers import Provider, ProviderPool

PROVIDER: Final = "inbox"
_RATE_PER_S: Final = 2000.0
_FOR_EVER_US: Final = 3650 * DAY_US


class InAppContacts:
    """Everybody has an inbox: it is named after the person."""

    def __init__(self, people: LedgerPeople) -> None:
        self._people = people

    async def find(self, message: Stored, channel: Channel, purpose_id: str) -> Contact | None:
        """Return the person's inbox; a privacy request has none."""
        if message.to_request:
            return None
        return Contact(self._people.current(message.ask.recipient_id))


class InAppCarrier:
    """Puts messages into inboxes.

    Args:
        database: Where they are.
        clock: The time.
    """

    stands_for_address = False

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        provider = Provider(
            PROVIDER,
            Capability(key_for_us=_FOR_EVER_US, look_up_for_us=_FOR_EVER_US),
            rate_per_s=_RATE_PER_S,
            burst=_RATE_PER_S,
        )
        self.pool = ProviderPool([provider], clock.boottime())

    async def hand_over(self, provider: str, parcel: Parcel, may_send: Callable[[], bool]) -> Outcome:
        """Put a message into an inbox; `may_send` is asked right before."""
        if not may_send():
            return Outcome(Handed.WITHDRAWN)
        try:
            async with self._database.transaction() as connection:
                await inboxes.deliver(
                    connection,
                    parcel.notification_id,
                    parcel.contact.address,
                    brand_id=parcel.brand_id,
                    category=parcel.category,
                    locale=parcel.locale,
                    subject=parcel.texts.subject,
                    text=parcel.texts.text,
                    now_us=micros_of(self._clock.now()),
                )
        except RapportError:
            # The commit may have been on its way: whether it is there can be looked up.
            return Outcome(Handed.UNKNOWN)
        return Outcome(Handed.SENT)

    async def seen(self, provider: str, key: str) -> bool | None:
        """Say whether a message is in an inbox; None while that cannot be asked."""
        try:
            async with self._database.transaction() as connection:
                return await inboxes.known(connection, key.partition(".")[0])
        except RapportError:
            return None
