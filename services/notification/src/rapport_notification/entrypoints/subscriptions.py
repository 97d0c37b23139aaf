"""Events of other contexts: what triggers wait for, and who turned out to be one person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from google.protobuf.message import Message
from rapport.consent.v1 import events_pb2 as consent_pb2
from rapport_chassis.database.pool import Connection
from rapport_chassis.events.contract import describe
from rapport_chassis.events.envelope import Received

from rapport_notification.app.trigger_units import TriggerUnit
from rapport_notification.app.triggering import Triggering
from rapport_notification.domain.occurrences import Occurred
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

_MERGED: Final = describe(consent_pb2.ConsentsMerged).name


class Happenings:
    """Handles events, in any order, those that came together in one transaction.

    Args:
        triggering: Responds to them.
        unit: Gives the triggers in the transaction that also enters an event as received.
    """

    def __init__(self, triggering: Triggering, unit: Callable[[Connection], TriggerUnit]) -> None:
        self._triggering = triggering
        self._unit = unit

    async def concerned(self, events: Sequence[Received], connection: Connection) -> Sequence[Received]:
        """Return the events of which anything comes now: of most that people do, nothing does."""
        happened = {each.id: _occurred(each) for each in events if each.name != _MERGED}
        of_these = await self._triggering.concerned(self._unit(connection), list(happened.values()))
        return [each for each in events if each.name == _MERGED or each.id in of_these]

    async def handle(self, events: Sequence[Received], connection: Connection) -> None:
        """Respond to events."""
        unit = self._unit(connection)
        happened = []
        for event in events:
            if event.name == _MERGED:
                for subject in event.parse(consent_pb2.ConsentsMerged).change.subjects:
                    if subject.redirect_ids:
                        await self._triggering.joined(unit, (subject.profile_id, *subject.redirect_ids))
            else:
                happened.append(_occurred(event))
        await self._triggering.happened(unit, happened)


def _occurred(event: Received) -> Occurred:
    return occurred_of(event.id, event.parse(CLASSES[event.name]))
