"""What came back of messages, as events and messages of the contract."""

from __future__ import annotations

from typing import Any, Final

from rapport.common.v1 import event_pb2
from rapport.notification.v1 import events_pb2, feedback_pb2
from rapport_chassis.events.envelope import Event, event_of

from rapport_notification.app.messages import Stored
from rapport_notification.app.times import moment_of
from rapport_notification.app.unsubscribing import Wish
from rapport_notification.domain.engagement import By, Seen
from rapport_notification.domain.suppression import Feedback, Suppression
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.translate.events import SOURCE, fact_of, notification_message

KINDS: Final = {
    feedback_pb2.FEEDBACK_KIND_HARD: Feedback.HARD,
    feedback_pb2.FEEDBACK_KIND_SOFT: Feedback.SOFT,
    feedback_pb2.FEEDBACK_KIND_COMPLAINT: Feedback.COMPLAINT,
    feedback_pb2.FEEDBACK_KIND_AUTO_REPLY: Feedback.AUTO_REPLY,
    feedback_pb2.FEEDBACK_KIND_DELIVERED: Feedback.DELIVERED,
}
"""What came back, by the contract's number."""

NUMBERS: Final = {kind: number for number, kind in KINDS.items()}
"""The other way round."""

_FAILURES: Final = {
    Feedback.HARD: events_pb2.FAILURE_KIND_HARD_BOUNCE,
    Feedback.SOFT: events_pb2.FAILURE_KIND_SOFT_BOUNCE,
}


def unsubscribed(wish: Wish, now_us: int) -> Event:
    """Return the event that tells that somebody wants no more."""
    message = events_pb2.ContactUnsubscribed(
        fact=event_pb2.Fact(fact_id=str(wish.request_id), profile_id=wish.profile_id),
        channel=int(wish.channel),  # type: ignore[arg-type] # numbers are the contract's
        purpose_ids=wish.purpose_ids,
        brand_id=wish.brand_id,
        method=wish.method,  # type: ignore[arg-type] # numbers are the contract's
        notification_id=wish.notification_id,
    )
    return _event(message, wish.occurred_us, now_us)


def arrived(stored: Stored, attempt: int, at_us: int, now_us: int) -> Event:
    """Return the event that tells that a message arrived."""
    message = events_pb2.NotificationDelivered(attempt=attempt)
    return _event(_about(message, stored, "delivered"), at_us, now_us)


def bounced(stored: Stored, attempt: int, kind: Feedback, status: str, at_us: int, now_us: int) -> Event:
    """Return the event that tells that a message came back."""
    message = events_pb2.NotificationFailed(attempt=attempt, failure=_FAILURES[kind], status_code=status, final=True)
    return _event(_about(message, stored, f"bounced.{attempt}.{kind.value}"), at_us, now_us)


def engaged(stored: Stored, seen: Seen, by: By, now_us: int) -> Event:
    """Return the event that tells what was done with a message."""
    message = events_pb2.NotificationEngaged(
        engagement=int(seen.engagement),  # type: ignore[arg-type] # numbers are the contract's
        by=int(by),  # type: ignore[arg-type] # numbers are the contract's
        link=seen.link,
    )
    what = f"engaged.{int(seen.engagement)}.{seen.link}.{int(by)}"
    return _event(_about(message, stored, what), seen.at_us, now_us)


def _about(message: Any, stored: Stored, what: str) -> Any:
    fact = fact_of(stored, what)
    if fact is not None:
        message.fact.CopyFrom(fact)
    message.notification.CopyFrom(notification_message(stored))
    return message


def _event(message: Any, occurred_us: int, now_us: int) -> Event:
    message.occurred_at.FromMicroseconds(occurred_us)
    message.recorded_at.FromMicroseconds(now_us)
    return event_of(message, source=SOURCE, occurred_at=moment_of(occurred_us))


def suppression_message(channel: Channel, found: Suppression | None) -> feedback_pb2.Suppression:
    """Return whether an address is given up, as a message."""
    message = feedback_pb2.Suppression(channel=int(channel))  # type: ignore[arg-type] # numbers are the contract's
    if found is not None:
        message.reason = NUMBERS[Feedback(found.reason.value)]
        message.since.FromMicroseconds(found.since_us)
        if found.until_us is not None:
            message.until.FromMicroseconds(found.until_us)
    return message
