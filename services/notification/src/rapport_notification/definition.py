"""What the commands of the notification service know of it; what serves is imported by `serve` alone."""

from pathlib import Path
from typing import Final

from rapport_chassis.cli import ServiceDefinition, later
from rapport_chassis.events.topology import DECLARED

from rapport_notification.domain.errors import ERRORS
from rapport_notification.settings import NotificationSettings

SERVICE: Final = "notification"

DEFINITION: Final = ServiceDefinition(
    name=SERVICE,
    distribution="rapport-notification",
    settings_class=NotificationSettings,
    build=later("rapport_notification.bootstrap", "build"),
    errors=ERRORS,
    migrations=Path(__file__).with_name("migrations"),
    topology=DECLARED,
)
"""What the commands know of the service."""
