"""Events that the pricing service follows: risks, which offers answer; who is whose; what came back."""

from __future__ import annotations

from typing import Final

from rapport.churn.v1 import events_pb2
from rapport.consent.v1 import events_pb2 as consent_pb2
from rapport.identity.v1 import events_pb2 as identity_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection
from rapport_chassis.events.envelope import Received

from rapport_pricing.app.retention import Retain, Risk, one_offer
from rapport_pricing.entrypoints.ports import RetentionStore
from rapport_pricing.translate.redemptions import redeemed_again, returned

CONSUMER: Final = "pricing-risks"
"""The durable consumer; `deploy/nats/consumers.yaml` declares it."""

RISK_EVENTS: Final = (events_pb2.RiskRaised, events_pb2.RiskCleared)
"""What it reads."""


PEOPLE_CONSUMER: Final = "pricing-people"
"""The durable consumer of who turned out to be one person, or two."""

PEOPLE_EVENTS: Final = (consent_pb2.ConsentsMerged, consent_pb2.ConsentsSplit)
"""What that reads."""


RETURNS_CONSUMER: Final = "pricing-returns"
"""The durable consumer of what came back."""

RETURNS_EVENTS: Final = (identity_pb2.TouchpointRecorded,)
"""What that reads."""


class Returns:
    """Handles touchpoint_recorded: of what comes back and was bought by a quote, the sale is taken back.

    Args:
        store: Gives transactions in that which also enters the event as received.
        clock: The time.
    """

    def __init__(self, store: RetentionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @staticmethod
    def concerns(event: Received) -> bool:
        """Say whether something that was quoted came back."""
        return bool(_quotes(event.parse(identity_pb2.TouchpointRecorded)))

    async def handle(self, event: Received, connection: Connection) -> None:
        """Follow one event."""
        told = event.parse(identity_pb2.TouchpointRecorded)
        unit = self._store.unit_on(connection)
        outcomes = returned(told, await unit.bought(sorted(_quotes(told))))
        if outcomes:
            await unit.report(outcomes, self._clock.now())


class People:
    """Handles consents_merged and consents_split, in any order.

    Offers keep the id they were made to, and whose that is is looked up. What is done: a person who turned out to be
    one keeps one offer against leaving, and a redemption follows the id that it was asked for under.

    Args:
        store: Gives transactions in that which also enters the event as received.
        clock: The time.
    """

    def __init__(self, store: RetentionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def handle(self, event: Received, connection: Connection) -> None:
        """Follow one event."""
        if event.name == "consents_merged":
            book = await self._store.retention_on(connection)
            for subject in event.parse(consent_pb2.ConsentsMerged).change.subjects:
                await one_offer(book, (subject.profile_id, *subject.redirect_ids))
            return
        unit = self._store.unit_on(connection)
        for subject in event.parse(consent_pb2.ConsentsSplit).change.subjects:
            moved = await unit.move(subject.profile_id, (subject.profile_id, *subject.redirect_ids))
            now = self._clock.now()
            await unit.tell([redeemed_again(told, subject.profile_id, version, now) for told, version in moved])


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
            risk = Risk(event.id, cleared.profile_id, cleared.version, 0, held_out=False)
        else:
            raised = event.parse(events_pb2.RiskRaised)
            risk = Risk(event.id, raised.profile_id, raised.version, raised.level, raised.held_out)
        await self._retain.hear(book, risk)


def _quotes(told: identity_pb2.TouchpointRecorded) -> set[str]:
    """The quotes by which something was bought that came back."""
    return {line.quote_id for line in told.touchpoint.order_returned.lines} - {""}
