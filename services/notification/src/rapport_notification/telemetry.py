"""What the notification service records beside the RED metrics of every RPC and consumer."""

from typing import Final

from rapport_chassis.telemetry.names import Attribute, CounterName, GaugeName

CHANNEL: Final = Attribute("rapport.notification.channel", "The channel, or none.")
OUTCOME: Final = Attribute("rapport.notification.outcome", "What came of it.")

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
