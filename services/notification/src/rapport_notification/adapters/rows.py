"""Messages and attempts as rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rapport_chassis.database.pool import Connection

from rapport_notification.app.messages import Ask, AttemptRow, ChannelWish, Stored
from rapport_notification.domain.entries import Entry, State, Verdict
from rapport_notification.domain.holds import CounterEvent
from rapport_notification.domain.vocabulary import Channel, DropReason, HoldReason, MessageClass

ASKED: Final = (
    "notification_id, recipient_id, class, priority, category, purpose_id, brand_id, market, template_id,"
    " template_brand, template_version, channels, content, decision_id, decision_ids, cause, cause_event_id,"
    " trigger_id, supersede_key, about_us, cancelled_by, cancel_keys, fallback_us, at_least_epoch, at_least_position,"
    " accepted_us, not_before_us, locale, traceparent"
)
ENTRY: Final = (
    "state, fence, attempt, series, due_us, expires_us, leased_until_us, provider, begun_us, series_us,"
    " repeat_until_us, verdict, hold, drop_reason, ending"
)
MOVING: Final = f"channel, tried, ended_us, delivered_us, look_us, digest, receipts, {ENTRY}"
COLUMNS: Final = f"{ASKED}, {MOVING}"
ATTEMPT: Final = ", ".join(AttemptRow._fields)

_ASKED: Final = ASKED.count(",") + 1
_ENTRY_FROM: Final = _ASKED + 7


def stored_in(row: Sequence[Any]) -> Stored:
    """Return the message in a row of `COLUMNS`."""
    ask = Ask(
        recipient_id=row[1],
        message_class=MessageClass(row[2]),
        category=row[4],
        purpose_id=row[5],
        brand_id=row[6],
        market=row[7],
        template_id=row[8],
        channels=tuple(ChannelWish(Channel(channel), purpose) for channel, purpose in row[11]),
        content=row[12],
        decision_ids=tuple(row[14]),
        cause=row[15],
        cause_event_id=row[16],
        trigger_id=row[17],
        supersede_key=row[18],
        about_us=row[19],
        cancelled_by=tuple(
            CounterEvent(name, frozenset((field, value) for field, value in match)) for name, match in row[20]
        ),
        fallback_us=row[22],
        at_least=(row[23], row[24]),
        not_before_us=row[26],
        locale=row[27],
        expires_us=row[_ENTRY_FROM + 5],
    )
    channel, tried, ended_us, delivered_us, look_us, digest, receipts = row[_ASKED:_ENTRY_FROM]
    return Stored(
        notification_id=row[0],
        ask=ask,
        template_brand=row[9],
        template_version=row[10],
        decision_id=row[13],
        accepted_us=row[25],
        traceparent=row[28],
        entry=_entry(ask.message_class, row[_ENTRY_FROM:]),
        channel=Channel(channel) if channel else None,
        tried=tuple(Channel(each) for each in tried),
        ended_us=ended_us,
        delivered_us=delivered_us,
        look_us=look_us,
        digest=digest,
        receipts=receipts,
    )


def asked_in(stored: Stored) -> dict[str, Any]:
    """Return the columns of `ASKED`: what never changes."""
    ask = stored.ask
    return {
        "notification_id": stored.notification_id,
        "recipient_id": ask.recipient_id,
        "class": ask.message_class,
        "priority": stored.priority,
        "category": ask.category,
        "purpose_id": ask.purpose_id,
        "brand_id": ask.brand_id,
        "market": ask.market,
        "template_id": ask.template_id,
        "template_brand": stored.template_brand,
        "template_version": stored.template_version,
        "channels": ask.channels,
        "content": ask.content,
        "decision_id": stored.decision_id,
        "decision_ids": ask.decision_ids,
        "cause": ask.cause,
        "cause_event_id": ask.cause_event_id,
        "trigger_id": ask.trigger_id,
        "supersede_key": ask.supersede_key,
        "about_us": ask.about_us,
        "cancelled_by": [[each.name, sorted(each.match)] for each in ask.cancelled_by],
        "cancel_keys": sorted({key for each in ask.cancelled_by for key in _keys(each)}),
        "fallback_us": ask.fallback_us,
        "at_least_epoch": ask.at_least[0],
        "at_least_position": ask.at_least[1],
        "accepted_us": stored.accepted_us,
        "not_before_us": ask.not_before_us,
        "locale": ask.locale,
        "traceparent": stored.traceparent,
    }


def moving_in(stored: Stored) -> dict[str, Any]:
    """Return the columns of `MOVING`, in their order: where it stands."""
    entry = stored.entry
    return {
        "channel": int(stored.channel or 0),
        "tried": [int(each) for each in stored.tried],
        "ended_us": stored.ended_us,
        "delivered_us": stored.delivered_us,
        "look_us": stored.look_us,
        "digest": stored.digest,
        "receipts": stored.receipts,
        "state": int(entry.state),
        "fence": entry.fence,
        "attempt": entry.attempt,
        "series": entry.series,
        "due_us": entry.due_us,
        "expires_us": entry.expires_us,
        "leased_until_us": entry.leased_until_us,
        "provider": entry.provider,
        "begun_us": entry.begun_us,
        "series_us": entry.series_us,
        "repeat_until_us": entry.repeat_until_us,
        "verdict": _number(entry.verdict),
        "hold": _number(entry.hold),
        "drop_reason": _number(entry.drop),
        "ending": _number(entry.ending),
    }


def written(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as one value, of which a statement makes rows again: a value each costs the driver several times."""
    return _JSON.encode(rows)


def cancel_keys(name: str, fields: Iterable[tuple[str, str]]) -> list[str]:
    """Return what an event finds messages by that it may make pointless."""
    return [name, *(f"{name}|{field}={value}" for field, value in fields)]


async def attempts_of(connection: Connection, notification_ids: Sequence[str]) -> dict[str, list[AttemptRow]]:
    """Return the attempts of messages, oldest first."""
    found: dict[str, list[AttemptRow]] = {each: [] for each in notification_ids}
    cursor = await connection.execute(
        f"SELECT {ATTEMPT} FROM attempts WHERE notification_id = ANY (%s) ORDER BY notification_id, attempt",  # noqa: S608 - made of constants
        (list(notification_ids),),
    )
    for row in await cursor.fetchall():
        found[row[0]].append(attempt_in(row))
    return found


def attempt_in(row: Sequence[Any]) -> AttemptRow:
    """Return the attempt in a row of `ATTEMPT`."""
    attempt = AttemptRow(*row)
    return attempt._replace(places=tuple((name, day) for name, day in attempt.places))


def _keys(event: CounterEvent) -> list[str]:
    """Return what an event is found by: any one field that it must have, or its name alone."""
    if not event.match:
        return [event.name]
    field, value = min(event.match)
    return [f"{event.name}|{field}={value}"]


def _entry(message_class: MessageClass, row: Sequence[Any]) -> Entry:
    state, fence, attempt, series, due, expires, leased, provider, begun, began_series, repeat, *codes = row
    verdict, hold, drop, ending = codes
    return Entry(
        message_class,
        State(state),
        fence,
        attempt,
        series,
        due,
        expires,
        leased,
        provider,
        begun,
        began_series,
        repeat,
        None if verdict is None else Verdict(verdict),
        None if hold is None else HoldReason(hold),
        None if drop is None else DropReason(drop),
        None if ending is None else State(ending),
    )


def _number(value: int | None) -> int | None:
    return None if value is None else int(value)


def _octets(value: bytes) -> str:
    """Return bytes as PostgreSQL reads them; all else that rows hold is JSON's."""
    return rf"\x{value.hex()}"


_JSON: Final = json.JSONEncoder(separators=(",", ":"), default=_octets)
