"""What the dispatcher needs of a channel: an address, and somebody who hands a message over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from rapport_notification.app.messages import Stored
from rapport_notification.domain.vocabulary import Channel, MessageClass
from rapport_notification.sending.outcome import Outcome
from rapport_notification.sending.providers import ProviderPool


@dataclass(frozen=True, slots=True)
class Contact:
    """How one person is reached on one channel. It is kept in memory for one send and nowhere else.

    Attributes:
        address: Address, number, or id of an endpoint.
        contact_point_id: Stands for it in identity; empty for none.
        given_name: Of the person; empty if not known.
        family_name: The same.
        locale: Language recorded with it; empty if not known.
    """

    address: str = field(repr=False)
    contact_point_id: str = ""
    given_name: str = field(default="", repr=False)
    family_name: str = field(default="", repr=False)
    locale: str = ""


class ContactsAwayError(Exception):
    """Whoever knows addresses cannot be asked now."""


class Contacts(Protocol):
    """Knows how people are reached on a channel."""

    async def find(self, message: Stored, channel: Channel, purpose_id: str) -> Contact | None:
        """Return how the recipient is reached; None if that is not known, or not for this purpose.

        Raises:
            ContactsAwayError: It cannot be asked now.
        """
        ...


class Texts(NamedTuple):
    """A written message: subject, plain part, other part."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready to be handed over.

    Attributes:
        notification_id: Which.
        attempt: The attempt, from 1.
        series: Attempts that share one idempotency key have one series.
        recipient_id: To whom.
        contact: How the recipient is reached.
        texts: What it says.
        locale: In which language.
        brand_id: Whose.
        category: About what.
        message_class: Its class.
        sent_at: When the attempt began.
    """

    notification_id: str
    attempt: int
    series: int
    recipient_id: str
    contact: Contact
    texts: Texts
    locale: str
    brand_id: str
    category: str
    message_class: MessageClass
    sent_at: datetime

    @property
    def key(self) -> str:
        """Its idempotency key at a provider, and the left part of its Message-ID."""
        return key_of(self.notification_id, self.series)


class Carrier(Protocol):
    """Hands messages of one channel over.

    Attributes:
        pool: Its providers.
        stands_for_address: Whether an address of it can be given up after bounces.
    """

    pool: ProviderPool
    stands_for_address: bool

    async def hand_over(self, provider: str, parcel: Parcel, may_send: Callable[[], bool]) -> Outcome:
        """Hand a message to a provider; `may_send` is asked right before the first byte that it could act on."""
        ...

    async def seen(self, provider: str, key: str) -> bool | None:
        """Say whether a provider has seen a message; None if it cannot be told."""
        ...


def key_of(notification_id: str, series: int) -> str:
    """Return what stands for a message at a provider: the same for attempts of one series."""
    return f"{notification_id}.{series}"
