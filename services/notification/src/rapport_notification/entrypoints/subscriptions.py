"""Events of other contexts: what triggers wait for, and who turned out to be one person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from google.protobuf.message import Message
from rapport.consent.v1 import events_pb2 as consent_pb2
from rapport_chassis.database.pool import Connection
from rapport_chassis.events.envelope import Received

from rapport_notification.app.triggering import Triggering, TriggerUnit
from rapport_notification.translate.occurrences import CLASSES, SOURCES, occurred_of

CONSUMERS: Final = {
    "identity": "notification-customers",
    "churn": "notification-risks",
    "pricing": "notification-prices",
    "consent": "notification-people",
}
"""The durable consumer that reads each context; `deploy/nats/consumers.yaml` declares them."""

EVENTS: Final[dict[str, tuple[type[Message], ...]]] = {
    **SOURCES,
    "consent": (consent_pb2.ConsentsMerged, *SOURCES["consent"]),
}
"""What each reads. A split needs nothing done: rows keep the id they were asked for, and whose that is is looked up."""


class Happenings:
    """Handles events, in any order.

    Args:
        triggering: Responds to them.
        unit: Gives the triggers in the transaction that also enters an event as received.
    """

    def __init__(self, triggering: Triggering, unit: Callable[[Connection], TriggerUnit]) -> None:
        self._triggering = triggering
        self._unit = unit

    async def handle(self, event: Received, connection: Connection) -> None:
        """Respond to one event."""
        unit = self._unit(connection)
        if event.name == "consents_merged":
            merged = event.parse(consent_pb2.ConsentsMerged)
            for subject in merged.change.subjects:
                if subject.redirect_ids:
                    await self._triggering.joined(unit, (subject.profile_id, *subject.redirect_ids))
            return
        message = event.parse(CLASSES[event.name])
        await self._triggering.happened(unit, occurred_of(event.id, message), getattr(message, "version", 0))
