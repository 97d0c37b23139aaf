"""What the commands of the identity service know of it; what serves is imported by `serve` alone."""

from pathlib import Path
from typing import Final

from rapport_chassis.cli import Command, ServiceDefinition, later
from rapport_chassis.events.topology import DECLARED

from rapport_identity.domain.errors import ERRORS
from rapport_identity.settings import IdentitySettings

SERVICE: Final = "identity"

_KEYS: Final = "rapport_identity.adapters.key_commands"

DEFINITION: Final = ServiceDefinition(
    name=SERVICE,
    distribution="rapport-identity",
    settings_class=IdentitySettings,
    build=later("rapport_identity.bootstrap", "build"),
    errors=ERRORS,
    migrations=Path(__file__).with_name("migrations"),
    further_migrations=lambda settings: [(settings.keys.database, Path(__file__).with_name("keys_migrations"))],
    topology=DECLARED,
    commands=(
        Command("keys", "list the keys that records are wrapped and found under, by number", later(_KEYS, "show_keys")),
        Command(
            "rotate-hash-key", "bring a new hash key; rows go over while all is served", later(_KEYS, "rotate_hash_key")
        ),
    ),
)
"""What the commands know of the service."""
