"""Events of other contexts, entered into the log as facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from google.protobuf.message import Message
from rapport.identity.v1 import events_pb2 as identity_pb2
from rapport.notification.v1 import events_pb2 as notification_pb2
from rapport.pricing.v1 import events_pb2 as pricing_pb2
from rapport_chassis.database.pool import Connection
from rapport_chassis.events.contract import describe
from rapport_chassis.events.envelope import Received
from rapport_chassis.telemetry import metrics
from rapport_privacy.participant.living import writable
from rapport_privacy.permits import Permits

from rapport_churn.app.people import scope_of
from rapport_churn.app.ports import Scope
from rapport_churn.domain.facts import Fact
from rapport_churn.entrypoints.ports import FactStore
from rapport_churn.translate.facts import Facts, serves

SOURCES: Final[dict[str, tuple[type[Message], ...]]] = {
    "identity": (identity_pb2.TouchpointRecorded,),
    "pricing": (pricing_pb2.OfferCreated, pricing_pb2.OfferExpired, pricing_pb2.QuoteRedeemed),
    "notification": (
        notification_pb2.NotificationDelivered,
        notification_pb2.NotificationDropped,
        notification_pb2.NotificationFailed,
        notification_pb2.NotificationEngaged,
        notification_pb2.ContactUnsubscribed,
    ),
}
"""What is read of each context; `deploy/nats/consumers.yaml` declares the same."""

CONSUMERS: Final = {"identity": "churn-touchpoints", "pricing": "churn-offers", "notification": "churn-messages"}
"""The durable consumer that reads each context."""

_CLASSES: Final = {(source, describe(each).name): each for source, events in SOURCES.items() for each in events}


class Intake:
    """Enters what happened into the log, unless nobody may use it for profiling.

    A touchpoint is kept if it was collected for a purpose that serves here. Nothing is kept of the erased, nor of whom
    the gate knows to have said no; where the gate does not know, the fact is kept, and is removed once it does.

    Args:
        facts: Makes facts of events.
        store: Enters them.
        permits: The gate.
        purpose_id: The purpose of profiling.
        brand_id: The brand it is asked for; empty for all.
        log_purpose_ids: Purposes that serve here.
        counter: Counts what became of events.
    """

    def __init__(
        self,
        facts: Facts,
        store: FactStore,
        permits: Permits,
        *,
        purpose_id: str,
        brand_id: str,
        log_purpose_ids: Collection[str],
        counter: metrics.Counter,
    ) -> None:
        self._facts = facts
        self._store = store
        self._permits = permits
        self._purpose_id = purpose_id
        self._brand_id = brand_id
        self._log_purpose_ids = frozenset(log_purpose_ids)
        self._counted = counter

    async def handle(self, events: Sequence[Received], connection: Connection) -> None:
        """Enter what events tell of, in the transaction that also notes them as received."""
        outcomes: Counter[str] = Counter()
        facts: list[Fact] = []
        for event in events:
            message = event.parse(_CLASSES[event.context, event.name])
            if isinstance(message, identity_pb2.TouchpointRecorded) and not serves(
                message.touchpoint, self._log_purpose_ids
            ):
                outcomes["other_purpose"] += 1
            elif (fact := self._facts.of(message)) is None:
                outcomes["no_fact"] += 1
            else:
                facts.append(fact)
        if facts:
            kept = await self._enter(facts, connection)
            outcomes += Counter(kept=kept, not_permitted=len(facts) - kept)
        for outcome, count in outcomes.items():
            self._counted.of(outcome).add(count)

    async def _enter(self, facts: Sequence[Fact], connection: Connection) -> int:
        """Enter those that may be kept, and return how many these are."""
        living = await writable(connection, {each.profile_id for each in facts})
        facts = [each for each in facts if each.profile_id in living]
        if not facts:
            return 0
        held = await self._store.hold(connection)
        # Asked while the log is held: whoever removes what was entered so far waits for this, and finds it.
        # A fact that is known must leave whoever had it, even for one of whom nothing is kept: that is removed in turn.
        denied = {each.fact_id for each in facts if self._is_denied(each)}
        if denied:
            denied -= await self._store.known(connection, denied)
        kept = [each for each in facts if each.fact_id not in denied]
        await self._store.append(connection, held, kept)
        return len(kept)

    def _is_denied(self, fact: Fact) -> bool:
        decision = self._permits.check(fact.profile_id, self._purpose_id, brand_id=self._brand_id)
        return scope_of(decision) in (Scope.FACTS, Scope.ALL)
