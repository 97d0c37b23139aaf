"""What the event machinery records beside the RED metrics of `telemetry.conventions`."""

from __future__ import annotations

from rapport_chassis.telemetry.conventions import CONSUMER
from rapport_chassis.telemetry.names import Attribute, CounterName, GaugeName

STREAM = Attribute("rapport.stream", "JetStream stream.")
REASON = Attribute("rapport.reason", "Stable reason code.")

OUTBOX_AGE = GaugeName("rapport.outbox.age", "s", "How long the oldest event has waited to be published.", (STREAM,))
RELAY_ACTIVE = GaugeName("rapport.relay.active", "1", "1 in the process that publishes, 0 in a standby.", (STREAM,))
OUTBOX_REFUSED = GaugeName("rapport.outbox.refused", "{row}", "Events too large to be published, left in the outbox.")
CONSUMER_PAUSED = GaugeName("rapport.consumer.paused", "1", "1 while a consumer is paused after failures.", (CONSUMER,))
CONSUMER_WAITING = GaugeName(
    "rapport.consumer.waiting", "1", "1 while a consumer waits for its stream or its provisioning.", (CONSUMER,)
)
DEAD_LETTERS = CounterName("rapport.consumer.dead_letters", "{message}", "Events given up.", (CONSUMER, REASON))
DUPLICATES = CounterName("rapport.inbox.duplicates", "{message}", "Events that had been handled before.", (CONSUMER,))
