"""What is told of messages, as events of the contract."""

from __future__ import annotations

from typing import Any, Final

from rapport.common.v1 import event_pb2
from rapport.notification.v1 import events_pb2
from rapport_chassis.events.envelope import Event, event_of

from rapport_notification.app.ledger import Step
from rapport_notification.app.messages import Stored
from rapport_notification.app.times import moment_of
from rapport_notification.domain.entries import State, Verdict
from rapport_notification.domain.vocabulary import DropReason

SOURCE: Final = "notification"
"""Whose events they are."""
_NOT_SENT: Final = {
    State.CANCELLED: DropReason.CANCELLED,
    State.SUPERSEDED: DropReason.SUPERSEDED,
}


def notification_message(stored: Stored) -> events_pb2.Notification:
    """Return what all events about a message say of it."""
    ask = stored.ask
    return events_pb2.Notification(
        notification_id=stored.notification_id,
        recipient_id=ask.recipient_id,
        category=ask.category,
        channel=int(stored.channel or 0),  # type: ignore[arg-type] # numbers are the contract's
        template_id=ask.template_id,
        template_version=stored.template_version,
        locale=ask.locale,
        brand_id=ask.brand_id,
        purpose_id=ask.purpose_id,
        cause_event_id=ask.cause_event_id,
        decision_id=stored.decision_id,
        decision_ids=ask.decision_ids,
        **{"class": int(ask.message_class)},
    )


def fact_of(stored: Stored, what: str) -> event_pb2.Fact | None:
    """Return whose fact it is that something happened to a message; None for a privacy request.

    Args:
        stored: The message.
        what: Tells its facts apart, such as "sent.1".
    """
    if stored.to_request:
        return None
    return event_pb2.Fact(fact_id=f"{stored.notification_id}.{what}", profile_id=stored.ask.recipient_id)


def told(step: Step) -> list[Event]:
    """Return the events that tell of a step."""
    stored, entry = step.after, step.after.entry
    events = []
    if step.new:
        events.append(_event(events_pb2.NotificationAccepted(), step, "accepted"))
    if step.failure:
        failed = events_pb2.NotificationFailed(
            attempt=entry.attempt,
            failure=step.failure,  # type: ignore[arg-type] # numbers are the contract's
            status_code=step.ended.status if step.ended is not None else "",
            final=entry.state in {State.FAILED, State.SETTLED},
        )
        events.append(_event(failed, step, f"failed.{entry.attempt}"))
    if entry.state is State.HELD and not step.failure and entry.hold is not None:
        held = events_pb2.NotificationHeld(reason=int(entry.hold))  # type: ignore[arg-type] # numbers are the contract's
        held.held_until.FromMicroseconds(entry.due_us)
        events.append(_event(held, step, f"held.{stored.receipts}.{entry.fence}"))
    if entry.state is State.SENT or (entry.state is State.SETTLED and entry.verdict is Verdict.SENT):
        sent = events_pb2.NotificationSent(attempt=entry.attempt, provider=entry.provider)
        events.append(_event(sent, step, f"sent.{entry.attempt}"))
    reason = entry.drop if entry.state is State.DROPPED else _NOT_SENT.get(entry.state)
    if reason is not None:
        dropped = events_pb2.NotificationDropped(reason=int(reason))  # type: ignore[arg-type] # numbers are the contract's
        events.append(_event(dropped, step, "dropped"))
    return events


def _event(message: Any, step: Step, what: str) -> Event:
    stored = step.after
    at = moment_of(step.at_us)
    fact = fact_of(stored, what)
    if fact is not None:
        message.fact.CopyFrom(fact)
    message.notification.CopyFrom(notification_message(stored))
    if isinstance(message, events_pb2.NotificationAccepted):
        if stored.ask.not_before_us:
            message.not_before.FromMicroseconds(stored.ask.not_before_us)
        if stored.ask.expires_us is not None:
            message.expires_at.FromMicroseconds(stored.ask.expires_us)
    message.occurred_at.FromMicroseconds(step.at_us)
    message.recorded_at.FromMicroseconds(step.at_us)
    return event_of(message, source=SOURCE, occurred_at=at)
