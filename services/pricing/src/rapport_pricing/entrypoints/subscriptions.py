"""Events that the pricing service follows: risks, which offers answer."""

from __future__ import annotations

from typing import Final

from rapport.churn.v1 import events_pb2
from rapport_chassis.database.pool import Connection
from rapport_chassis.events.envelope import Received

from rapport_pricing.app.retention import Retain, Risk
from rapport_pricing.entrypoints.ports import RetentionStore

CONSUMER: Final = "pricing-risks"
"""The durable consumer; `deploy/nats/consumers.yaml` declares it."""

RISK_EVENTS: Final = (events_pb2.RiskRaised, events_pb2.RiskCleared)
"""What it reads."""


class Risks:
    """Handles risk_raised and risk_cleared, in any order.

    Args:
        retain: Answers them.
        store: Gives offers in the transaction that also enters the event as received.
    """

    def __init__(self, retain: Retain, store: RetentionStore) -> None:
        self._retain = retain
        self._store = store

    async def handle(self, event: Received, connection: Connection) -> None:
        """Follow one event."""
        book = await self._store.retention_on(connection)
        if event.name == "risk_cleared":
            cleared = event.parse(events_pb2.RiskCleared)
            await self._retain.cleared(book, cleared.profile_id, cleared.version)
            return
        raised = event.parse(events_pb2.RiskRaised)
        risk = Risk(event.id, raised.profile_id, raised.version, raised.level, raised.held_out)
        await self._retain.raised(book, risk)
