"""What is held of a person, as it is handed out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from rapport_notification.app.messages import AttemptRow, Stored
from rapport_notification.app.times import moment_of
from rapport_notification.domain.entries import State
from rapport_notification.translate.contents import values_in


def message_content(stored: Stored, attempts: Sequence[AttemptRow]) -> dict[str, Any]:
    """Return a message as its recipient may see it: what was to be said, why, and what became of it."""
    entry, ask = stored.entry, stored.ask
    return {
        "template": f"{ask.template_id}@{stored.template_version}",
        "brand": ask.brand_id,
        "language": ask.locale,
        "class": ask.message_class.name,
        "category": ask.category,
        "purpose": ask.purpose_id,
        "values": plain(values_in(ask.content)),
        "decisions": [stored.decision_id, *ask.decision_ids],
        "cause": ask.cause_event_id,
        "state": entry.state.name,
        "reason": entry.drop.name if entry.drop is not None and entry.state is State.DROPPED else "",
        "channel": stored.channel.name if stored.channel is not None else "",
        "ended_at": _time(stored.ended_us),
        "delivered_at": _time(stored.delivered_us),
        "attempts": [
            {
                "attempt": each.attempt,
                "provider": each.provider,
                "contact_point": each.contact_point_id,
                "began_at": _time(each.began_us),
                "status": each.status,
            }
            for each in attempts
        ],
    }


def plain(value: Any) -> Any:
    """Return values of a template ready for JSON."""
    match value:
        case Mapping():
            return {name: plain(each) for name, each in value.items()}
        case Decimal() | date():
            return str(value)
        case list() | tuple():
            return [plain(each) for each in value]
    return value


def _time(micros: int) -> str:
    return moment_of(micros).isoformat() if micros else ""
