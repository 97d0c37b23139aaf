"""What other contexts publish, as the few integers that are kept of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.common.v1 import event_pb2
from rapport.identity.v1 import events_pb2 as identity_pb2
from rapport.identity.v1 import touchpoint_pb2
from rapport.notification.v1 import events_pb2 as notification_pb2
from rapport.pricing.v1 import events_pb2 as pricing_pb2

from rapport_churn.domain.facts import HOUR, Fact, FactKind
from rapport_churn.translate.money import minor_of

Content = tuple[FactKind, int, int]
"""What happened, its value, its quantity."""

_LARGEST: Final = 2**53
"""Largest value that is kept: a float holds every whole number up to it."""

_SUBSCRIPTIONS: Final[Mapping[int, FactKind]] = {
    touchpoint_pb2.SUBSCRIPTION_CHANGE_STARTED: FactKind.SUBSCRIPTION_RENEWED,
    touchpoint_pb2.SUBSCRIPTION_CHANGE_RENEWED: FactKind.SUBSCRIPTION_RENEWED,
    touchpoint_pb2.SUBSCRIPTION_CHANGE_UPGRADED: FactKind.SUBSCRIPTION_RENEWED,
    touchpoint_pb2.SUBSCRIPTION_CHANGE_RESUMED: FactKind.SUBSCRIPTION_RENEWED,
    touchpoint_pb2.SUBSCRIPTION_CHANGE_DOWNGRADED: FactKind.SUBSCRIPTION_REDUCED,
    touchpoint_pb2.SUBSCRIPTION_CHANGE_PAUSED: FactKind.SUBSCRIPTION_REDUCED,
    touchpoint_pb2.SUBSCRIPTION_CHANGE_CANCELLED: FactKind.SUBSCRIPTION_ENDED,
    touchpoint_pb2.SUBSCRIPTION_CHANGE_ENDED: FactKind.SUBSCRIPTION_ENDED,
}
# Channels of notification by the numbers of identity's; others count as none.
_CHANNELS: Final[Mapping[int, int]] = {
    notification_pb2.CHANNEL_EMAIL: touchpoint_pb2.CHANNEL_EMAIL,
    notification_pb2.CHANNEL_SMS: touchpoint_pb2.CHANNEL_SMS,
    notification_pb2.CHANNEL_WEB_PUSH: touchpoint_pb2.CHANNEL_PUSH,
    notification_pb2.CHANNEL_IN_APP: touchpoint_pb2.CHANNEL_IN_APP,
}
_ENGAGEMENTS: Final[Mapping[int, FactKind]] = {
    notification_pb2.ENGAGEMENT_OPENED: FactKind.MESSAGE_OPENED,
    notification_pb2.ENGAGEMENT_CLICKED: FactKind.MESSAGE_CLICKED,
}


def micros(time: Timestamp) -> int:
    """Return a time in microseconds since 1970."""
    return time.seconds * 1_000_000 + time.nanos // 1000


def serves(touchpoint: touchpoint_pb2.Touchpoint, purpose_ids: Collection[str]) -> bool:
    """Whether a touchpoint was collected for one of these purposes: nobody may use it for another one."""
    return not set(purpose_ids).isdisjoint(touchpoint.purpose_ids)


class Facts:
    """Makes facts of events.

    Args:
        currency: The installation's; amounts in another one count as 0.
    """

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._readers: Mapping[type[Message], Callable[[Any], Fact | None]] = {
            identity_pb2.TouchpointRecorded: self._touchpoint,
            pricing_pb2.OfferCreated: self._offer_created,
            pricing_pb2.OfferExpired: self._offer_expired,
            pricing_pb2.QuoteRedeemed: self._quote,
            notification_pb2.NotificationDelivered: self._delivered,
            notification_pb2.NotificationDropped: self._dropped,
            notification_pb2.NotificationFailed: self._failed,
            notification_pb2.NotificationEngaged: self._engaged,
            notification_pb2.ContactUnsubscribed: self._unsubscribed,
        }

    def of(self, event: Message) -> Fact | None:
        """Return the fact that an event tells of; None if it tells of none that is kept."""
        fact = self._readers[type(event)](event)
        return fact if fact is not None and min(fact.occurred_at, fact.arrived_at) >= 0 else None

    def _touchpoint(self, event: identity_pb2.TouchpointRecorded) -> Fact | None:
        content = self._content(event.touchpoint)
        if content is None:
            return None
        return _fact(event.fact, content, event.touchpoint.occurred_at, event.recorded_at, event.touchpoint.channel)

    def _content(self, touchpoint: touchpoint_pb2.Touchpoint) -> Content | None:
        match touchpoint.WhichOneof("type"):
            case "order_placed":
                order = touchpoint.order_placed
                return FactKind.ORDER, minor_of(order.total, self._currency), _pieces(order.lines)
            case "order_returned":
                returned = touchpoint.order_returned
                return FactKind.RETURNED, minor_of(returned.refund, self._currency), _pieces(returned.lines)
            case "order_delivered":
                return FactKind.DELIVERED, _hours_late(touchpoint), 1
            case "viewed":
                return FactKind.VIEWED, 0, 1
            case "searched":
                return FactKind.SEARCHED, touchpoint.searched.result_count, 1
            case "cart_changed":
                cart = touchpoint.cart_changed
                added = cart.change == touchpoint_pb2.CART_CHANGE_ADDED
                return FactKind.CART_CHANGED, int(added), _pieces(cart.lines)
            case "message_opened":
                return FactKind.MESSAGE_OPENED, 0, 1
            case "message_clicked":
                return FactKind.MESSAGE_CLICKED, 0, 1
            case "offer_shown":
                return FactKind.OFFER_SHOWN, 0, 1
            case "offer_accepted":
                return FactKind.OFFER_ACCEPTED, 0, 1
            case "offer_refused":
                return FactKind.OFFER_REFUSED, 0, 1
            case "contact_opened":
                return FactKind.CONTACT_OPENED, 0, 1
            case "contact_answered":
                return FactKind.CONTACT_ANSWERED, touchpoint.contact_answered.waited.seconds // 3600, 1
            case "contact_closed":
                return FactKind.CONTACT_CLOSED, int(touchpoint.contact_closed.resolved), 1
            case "feedback_given":
                given = touchpoint.feedback_given
                return FactKind.FEEDBACK, (given.score - given.lowest) * 1000 // (given.highest - given.lowest), 1
            case "subscription_changed":
                changed = touchpoint.subscription_changed
                kind = _SUBSCRIPTIONS.get(changed.change)
                return None if kind is None else (kind, minor_of(changed.price, self._currency), 1)
            case _:
                return None

    def _offer_created(self, event: pricing_pb2.OfferCreated) -> Fact | None:
        # An offer that is held out is recorded and never shown: nobody received it.
        if event.offer.treatment != pricing_pb2.TREATMENT_TREATED:
            return None
        return _of_offer(event.offer, FactKind.OFFER_RECEIVED, event.occurred_at, event.recorded_at)

    def _offer_expired(self, event: pricing_pb2.OfferExpired) -> Fact | None:
        if (
            event.offer.treatment != pricing_pb2.TREATMENT_TREATED
            or event.offer.state != pricing_pb2.OFFER_STATE_LAPSED
        ):
            return None
        return _of_offer(event.offer, FactKind.OFFER_EXPIRED, event.occurred_at, event.recorded_at)

    def _quote(self, event: pricing_pb2.QuoteRedeemed) -> Fact:
        currency = self._currency
        off = sum(minor_of(each.list, currency) - minor_of(each.quoted, currency) for each in event.prices)
        content = FactKind.OFFER_REDEEMED, max(off, 0), len(event.prices)
        return _fact(event.fact, content, event.occurred_at, event.recorded_at, 0)

    def _delivered(self, event: notification_pb2.NotificationDelivered) -> Fact | None:
        return _of_message(event, FactKind.MESSAGE_DELIVERED)

    def _dropped(self, event: notification_pb2.NotificationDropped) -> Fact | None:
        return _of_message(event, FactKind.MESSAGE_DROPPED)

    def _failed(self, event: notification_pb2.NotificationFailed) -> Fact | None:
        return _of_message(event, FactKind.MESSAGE_DROPPED) if event.final else None

    def _engaged(self, event: notification_pb2.NotificationEngaged) -> Fact | None:
        # A scanner that follows links says nothing of the person.
        kind = _ENGAGEMENTS.get(event.engagement)
        if kind is None or event.by == notification_pb2.ENGAGED_BY_SCANNER:
            return None
        return _of_message(event, kind)

    def _unsubscribed(self, event: notification_pb2.ContactUnsubscribed) -> Fact:
        content = FactKind.UNSUBSCRIBED, 0, 1
        return _fact(event.fact, content, event.occurred_at, event.recorded_at, 0)


def _fact(
    owned: event_pb2.Fact, content: Content, occurred_at: Timestamp, recorded_at: Timestamp, channel: int
) -> Fact:
    kind, value, quantity = content
    return Fact(
        owned.fact_id,
        owned.profile_id,
        owned.owner_version,
        kind,
        micros(occurred_at),
        micros(recorded_at),
        min(value, _LARGEST),
        quantity,
        channel if 0 < channel < 256 else 0,
    )


def _of_offer(offer: pricing_pb2.Offer, kind: FactKind, occurred_at: Timestamp, recorded_at: Timestamp) -> Fact:
    """An offer is a state: what became of it has no fact id of its own, and its version says whose it is."""
    owned = event_pb2.Fact(
        fact_id=f"{offer.offer_id}.{kind.name.lower()}", profile_id=offer.profile_id, owner_version=offer.version
    )
    return _fact(owned, (kind, 0, 1), occurred_at, recorded_at, 0)


def _of_message(event: Any, kind: FactKind) -> Fact | None:
    if not event.HasField("fact"):
        return None  # the recipient is a privacy request
    channel = _CHANNELS.get(event.notification.channel, 0)
    return _fact(event.fact, (kind, 0, 1), event.occurred_at, event.recorded_at, channel)


def _pieces(lines: Collection[touchpoint_pb2.Line]) -> int:
    return sum(line.quantity for line in lines) or 1


def _hours_late(touchpoint: touchpoint_pb2.Touchpoint) -> int:
    delivered = touchpoint.order_delivered
    if not delivered.HasField("promised_at"):
        return 0
    return max(0, (micros(touchpoint.occurred_at) - micros(delivered.promised_at)) // HOUR)
