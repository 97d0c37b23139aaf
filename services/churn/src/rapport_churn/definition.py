"""What the commands of the churn service know of it; what serves is imported by `serve` alone."""

from pathlib import Path
from typing import Final

from rapport_chassis.cli import ServiceDefinition, later
from rapport_chassis.events.topology import DECLARED

from rapport_churn.domain.errors import ERRORS
from rapport_churn.settings import ChurnSettings

SERVICE: Final = "churn"

DEFINITION: Final = ServiceDefinition(
    name=SERVICE,
    distribution="rapport-churn",
    settings_class=ChurnSettings,
    build=later("rapport_churn.bootstrap", "build"),
    errors=ERRORS,
    migrations=Path(__file__).with_name("migrations"),
    topology=DECLARED,
)
"""What the commands know of the service."""
