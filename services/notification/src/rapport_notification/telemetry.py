"""What the notification service records beside the RED metrics of every RPC and consumer."""

from typing import Final

from opentelemetry.trace import SpanKind
from rapport_chassis.telemetry.names import Attribute, CounterName, GaugeName, SpanName

CHANNEL: Final = Attribute("rapport.notification.channel", "The channel, or none.")
OUTCOME: Final = Attribute("rapport.notification.outcome", "What came of it.")

FIND_ADDRESS: Final = SpanName(
    "find address",
    "How somebody is reached is asked; linked to what had the message taken on, as far as that is recorded.",
)
HAND_OVER: Final = SpanName(
    "hand over",
    "A message is handed to a provider; linked to what had it taken on, as far as that is recorded.",
    SpanKind.CLIENT,
    (CHANNEL, OUTCOME),
)
FAN_OUT: Final = SpanName(
    "fan out",
    "Messages to some who watch a product are taken on; linked to what they hear of, as far as that is recorded.",
)

OUTCOMES: Final = CounterName(
    "rapport.notification.outcomes", "{message}", "What came of messages, step by step.", (CHANNEL, OUTCOME)
)
TRIGGER: Final = Attribute("rapport.notification.trigger", "The trigger.")
TRIGGERED: Final = CounterName(
    "rapport.notification.triggered", "{message}", "What triggers did about events.", (TRIGGER, OUTCOME)
)
QUEUED: Final = GaugeName("rapport.notification.queued", "{message}", "Messages that this worker has claimed.")
IN_DOUBT: Final = GaugeName(
    "rapport.notification.in_doubt", "{message}", "Messages of which nobody can tell yet whether they went."
)
