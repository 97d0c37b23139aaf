"""What the commands of the pricing service know of it; what serves is imported by `serve` alone."""

from pathlib import Path
from typing import Final

from rapport_chassis.cli import ServiceDefinition, later
from rapport_chassis.events.topology import DECLARED

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.settings import PricingSettings

SERVICE: Final = "pricing"

DEFINITION: Final = ServiceDefinition(
    name=SERVICE,
    distribution="rapport-pricing",
    settings_class=PricingSettings,
    build=later("rapport_pricing.bootstrap", "build"),
    errors=ERRORS,
    migrations=Path(__file__).with_name("migrations"),
    topology=DECLARED,
)
"""What the commands know of the service."""
