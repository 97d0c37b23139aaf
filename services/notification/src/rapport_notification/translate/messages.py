"""Messages: as they are asked for over the contract, and as they are returned."""

from __future__ import annotations

from collections.abc import Sequence

from rapport.notification.v1 import notification_pb2
from rapport_chassis.times import duration, moment

from rapport_notification.app.messages import Ask, AttemptRow, ChannelWish, Stored
from rapport_notification.app.times import micros_of
from rapport_notification.domain.entries import WAITING, State
from rapport_notification.domain.holds import CounterEvent
from rapport_notification.domain.vocabulary import SECOND_US, Channel, MessageClass
from rapport_notification.translate.contents import content_of
from rapport_notification.translate.events import notification_message


def ask_in(request: notification_pb2.SendNotificationRequest) -> Ask:
    """Return what a request asks for.

    Raises:
        RapportError: VALUE_NAMES_SOMEBODY, INVALID_REQUEST.
    """
    cause_event_id = request.cause_event_id
    return Ask(
        recipient_id=request.recipient_id,
        template_id=request.template_id,
        message_class=MessageClass(getattr(request, "class")),
        category=request.category,
        purpose_id=request.purpose_id,
        content=content_of(request.variables),
        brand_id=request.brand_id,
        market=request.market,
        channels=tuple(ChannelWish(Channel(each.channel), each.purpose_id) for each in request.channels),
        locale=request.locale,
        not_before_us=micros_of(moment(request.not_before)) if request.HasField("not_before") else 0,
        expires_us=micros_of(moment(request.expires_at)) if request.HasField("expires_at") else None,
        about_us=micros_of(moment(request.about_at)) if request.HasField("about_at") else 0,
        cause=f"{cause_event_id}/{request.template_id}" if cause_event_id else "",
        cause_event_id=cause_event_id,
        decision_ids=tuple(request.decision_ids),
        supersede_key=request.supersede_key,
        cancelled_by=tuple(CounterEvent(each.event, frozenset(each.match.items())) for each in request.cancelled_by),
        fallback_us=round(duration(request.fallback_after).total_seconds() * SECOND_US),
        at_least=(request.at_least.epoch, request.at_least.position),
    )


def record_of(stored: Stored, attempts: Sequence[AttemptRow]) -> notification_pb2.NotificationRecord:
    """Return a message and where it stands."""
    entry, ask = stored.entry, stored.ask
    record = notification_pb2.NotificationRecord(
        notification=notification_message(stored),
        state=int(entry.state),  # type: ignore[arg-type] # numbers are the contract's
        hold_reason=int(entry.hold or 0),  # type: ignore[arg-type] # numbers are the contract's
        drop_reason=int(entry.drop or 0) if entry.state is State.DROPPED else 0,  # type: ignore[arg-type] # the same
        verdict=int(entry.verdict or 0),  # type: ignore[arg-type] # numbers are the contract's
        supersede_key=ask.supersede_key,
        attempts=[_attempt(each) for each in attempts],
    )
    record.accepted_at.FromMicroseconds(stored.accepted_us)
    if ask.not_before_us:
        record.not_before.FromMicroseconds(ask.not_before_us)
    if ask.expires_us is not None:
        record.expires_at.FromMicroseconds(ask.expires_us)
    if entry.state in WAITING and entry.due_us:
        record.held_until.FromMicroseconds(entry.due_us)
    if stored.ended_us:
        record.ended_at.FromMicroseconds(stored.ended_us)
    if stored.delivered_us:
        record.delivered_at.FromMicroseconds(stored.delivered_us)
    return record


def _attempt(row: AttemptRow) -> notification_pb2.Attempt:
    attempt = notification_pb2.Attempt(
        attempt=row.attempt,
        channel=row.channel,  # type: ignore[arg-type] # numbers are the contract's
        provider=row.provider,
        outcome=row.outcome,  # type: ignore[arg-type] # numbers are the contract's
        code=" ".join(filter(None, (str(row.code) if row.code else "", row.status))),
    )
    attempt.began_at.FromMicroseconds(row.began_us)
    if row.ended_us:
        attempt.ended_at.FromMicroseconds(row.ended_us)
    if row.permission:
        attempt.permission.MergeFromString(row.permission)
    return attempt
