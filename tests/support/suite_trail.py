"""Where each touchpoint of somebody got to, from identity's table to churn's log: for whoever reads a failure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Final

from rapport.identity.v1 import events_pb2
from rapport_chassis.events.envelope import EVENT_ID
from suite import Suite
from suite_state import PURPOSES_OF, Names, rows
from suite_streams import Streams

_CONSUMER: Final = "churn-touchpoints"
_RECORDED: Final = (
    f"SELECT fact_id, profile_id, owner_version, type, occurred_at, {PURPOSES_OF} FROM facts"
    " WHERE profile_id = ANY (%s) ORDER BY profile_id, occurred_at"
)
_WAITING: Final = "SELECT event_id, payload FROM outbox WHERE type LIKE '%%touchpoint_recorded'"
_HEARD: Final = "SELECT event_id FROM inbox WHERE consumer = %s"
_LOGGED: Final = "SELECT fact_id, profile_id, owner_version FROM facts WHERE fact_id = ANY (%s)"


async def trail(suite: Suite, names: Names) -> list[str]:
    """Return a line for each touchpoint of somebody: recorded for what, told in which events, entered by churn.

    Args:
        suite: Where.
        names: Every id that was issued for them, and what the test calls it.
    """
    recorded = await rows(suite, "identity", _RECORDED, list(names))
    fact_ids = [row[0] for row in recorded]
    heard = {event_id for (event_id,) in await rows(suite, "churn", _HEARD, _CONSUMER)}
    logged = {row[0]: row[1:] for row in await rows(suite, "churn", _LOGGED, fact_ids)}
    told = await _told(suite, fact_ids, heard)
    return [
        f"{names[owner]} {type_} of {occurred_at:%Y-%m-%d}: {fact_id} of owner version {version}, for {purposes}; "
        f"{'; '.join(told[fact_id]) or 'told in no event'}; "
        + (f"in churn's log under {logged[fact_id]}" if fact_id in logged else "NOT in churn's log")
        for fact_id, owner, version, type_, occurred_at, purposes in recorded
    ]


async def _told(suite: Suite, fact_ids: Collection[str], heard: Collection[str]) -> dict[str, list[str]]:
    """Return for each fact the events that tell of it, and how far each has got."""
    found: dict[str, list[str]] = defaultdict(list)

    def note(where: str, event_id: str, payload: bytes) -> None:
        event = events_pb2.TouchpointRecorded.FromString(payload)
        if event.fact.fact_id in fact_ids:
            what = f"version {event.fact.owner_version} for {' '.join(event.touchpoint.purpose_ids)}"
            found[event.fact.fact_id].append(
                f"{where} ({what}) {'heard' if event_id in heard else 'NOT heard'} by churn"
            )

    for event_id, payload in await rows(suite, "identity", _WAITING):
        note("in the outbox", event_id, payload)
    for message in await Streams(suite).read("identity"):
        if ".touchpoint_recorded." in message.subject:
            note(f"at sequence {message.sequence}", message.headers[EVENT_ID], message.data)
    return found
