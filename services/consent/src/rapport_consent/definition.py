"""What the commands of the consent service know of it; what serves is imported by `serve` alone."""

from pathlib import Path
from typing import Final

from rapport_chassis.cli import ServiceDefinition, later
from rapport_chassis.events.topology import DECLARED

from rapport_consent.domain.errors import ERRORS
from rapport_consent.settings import ConsentSettings
from rapport_consent.telemetry import LOG_KEYS

SERVICE: Final = "consent"

_KEYS: Final = "rapport_identity.adapters.key_commands"

DEFINITION: Final = ServiceDefinition(
    name=SERVICE,
    distribution="rapport-consent",
    settings_class=ConsentSettings,
    build=later("rapport_consent.bootstrap", "build"),
    errors=ERRORS,
    migrations=Path(__file__).with_name("migrations"),
    topology=DECLARED,
    log_keys=LOG_KEYS,
)
"""What the commands know of the service."""
