"""Messages as they are asked for, and as they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from rapport_notification.domain.entries import FINAL, Entry
from rapport_notification.domain.holds import CounterEvent, Waiting
from rapport_notification.domain.scheduling import Priority
from rapport_notification.domain.vocabulary import Channel, MessageClass

REQUEST_PREFIX: Final = "req_"
FALLBACK: Final = "fallback/"
"""Begins the cause of a message that says on another channel what one before has said; that one's id follows."""
COMMITTED: Final = 1
REFUNDED: Final = 2
"""What became of the places that an attempt holds."""

PRIORITIES: Final[Mapping[MessageClass, Priority]] = {
    MessageClass.ONE_TIME: Priority.URGENT,
    MessageClass.SERVICE: Priority.NORMAL,
    MessageClass.LEGAL: Priority.NORMAL,
    MessageClass.MARKETING: Priority.BULK,
}
"""How urgent each class is."""


class ChannelWish(NamedTuple):
    """A channel a message may take, and the purpose that allows it there; empty for the message's own."""

    channel: Channel
    purpose_id: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A message that somebody asks for.

    Attributes:
        recipient_id: Any id of a person, or a privacy request.
        template_id: What is said.
        message_class: What its class allows.
        category: That preferences speak of.
        purpose_id: That allows it; empty for a privacy request.
        content: Values of the template's variables, as the contract's message; they name nobody.
        brand_id: The brand that speaks.
        market: Where.
        channels: It may take; empty for all that the template is written for.
        locale: Language; empty for that of the address.
        not_before_us: Not to be sent before; 0 for at once.
        expires_us: Not to be sent from then on; None for never too late.
        about_us: When what it says came to be; 0 for now.
        cause: A recipient has one message of a cause; empty for none.
        cause_event_id: The event that caused it.
        trigger_id: The trigger that asks.
        decision_ids: Decisions that led to it.
        supersede_key: Only the newest with a key is sent; empty for none.
        cancelled_by: What makes it pointless.
        fallback_us: How long before the next channel is tried; 0 for never.
        at_least: Epoch and position that the gate must know.
    """

    recipient_id: str
    template_id: str
    message_class: MessageClass
    category: str
    purpose_id: str
    content: bytes = b""
    brand_id: str = ""
    market: str = ""
    channels: tuple[ChannelWish, ...] = ()
    locale: str = ""
    not_before_us: int = 0
    expires_us: int | None = None
    about_us: int = 0
    cause: str = ""
    cause_event_id: str = ""
    trigger_id: str = ""
    decision_ids: tuple[str, ...] = ()
    supersede_key: str = ""
    cancelled_by: tuple[CounterEvent, ...] = ()
    fallback_us: int = 0
    at_least: tuple[str, int] = ("", 0)


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as the ledger has it.

    Attributes:
        notification_id: Which.
        ask: What was asked for, its channels filled in.
        template_brand: The brand whose version it is.
        template_version: The version.
        decision_id: The decision to send it.
        accepted_us: When it was taken on.
        entry: Where it stands.
        channel: The channel chosen; None while none is.
        tried: Channels that did not reach the person.
        ended_us: When it ended; 0 while it has not.
        delivered_us: When it arrived, as far as is known; else 0.
        look_us: When a doubt is looked at next.
        digest: Of the last receipt.
        receipts: How many there are.
        traceparent: The span that had it taken on; None where that was not recorded.
    """

    notification_id: str
    ask: Ask
    template_brand: str
    template_version: int
    decision_id: str
    accepted_us: int
    entry: Entry
    channel: Channel | None = None
    tried: tuple[Channel, ...] = ()
    ended_us: int = 0
    delivered_us: int = 0
    look_us: int = 0
    digest: bytes = b"\0" * 32
    receipts: int = 0
    traceparent: str | None = None

    @property
    def to_request(self) -> bool:
        """Whether it goes to a privacy request."""
        return self.ask.recipient_id.startswith(REQUEST_PREFIX)

    @property
    def priority(self) -> Priority:
        """How urgent it is."""
        return PRIORITIES[self.ask.message_class]

    def stepped(self, entry: Entry, now_us: int) -> Stored:
        """Return it after a step of the ledger."""
        ended = self.ended_us or (now_us if entry.state in FINAL else 0)
        return replace(self, entry=entry, ended_us=ended)

    @property
    def follows(self) -> str:
        """The message it says again on another channel; empty for none."""
        return self.ask.cause.removeprefix(FALLBACK) if self.ask.cause.startswith(FALLBACK) else ""

    def purpose_of(self, channel: Channel) -> str:
        """Return the purpose that allows it on a channel."""
        named = next((wish.purpose_id for wish in self.ask.channels if wish.channel is channel), "")
        return named or self.ask.purpose_id

    def waiting(self) -> Waiting:
        """Return what others of the same recipient need to know of it."""
        ask = self.ask
        return Waiting(
            self.notification_id,
            ask.recipient_id,
            self.entry.state,
            ask.supersede_key,
            ask.about_us,
            ask.cancelled_by,
        )


class AttemptRow(NamedTuple):
    """An attempt as it is kept.

    Attributes:
        notification_id: The message.
        attempt: Which, from 1.
        channel: The channel.
        provider: The provider.
        began_us: When its intent was written.
        ended_us: When it ended; 0 while it is under way.
        outcome: 0 under way, 1 sent, 2 not sent, 3 nobody can tell.
        code: Status of SMTP or HTTP; 0 for none.
        status: Enhanced status code; empty for none.
        reference: What the provider calls it.
        address_hash: Stands for the address; empty for none.
        contact_point_id: Stands for it in identity.
        permission: The gate's answer, as the contract's message.
        person_id: The id that stood for the person.
        places: Places it holds in caps: name and day.
        place_state: 0 reserved, 1 committed, 2 refunded.
    """

    notification_id: str
    attempt: int
    channel: int
    provider: str
    began_us: int
    ended_us: int = 0
    outcome: int = 0
    code: int = 0
    status: str = ""
    reference: str = ""
    address_hash: bytes = b""
    contact_point_id: str = ""
    permission: bytes = b""
    person_id: str = ""
    places: tuple[tuple[str, str], ...] = ()
    place_state: int = 0
