"""A database as the service has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import rapport_pricing
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.settings import DatabaseSettings
from rapport_testing.databases import Database as MadeDatabase
from rapport_testing.plugin import MakeDatabase

_PASSWORDS = RolePasswords(owner="owner-secret", runtime="runtime-secret")
MIGRATIONS = Path(rapport_pricing.__file__).parent / "migrations"


@dataclass
class Made:
    """A migrated database, and how its two roles reach it."""

    database: MadeDatabase
    settings: DatabaseSettings


def _settings(made: MadeDatabase) -> DatabaseSettings:
    return DatabaseSettings.model_validate(
        {
            "dsn": made.dsn("rapport_pricing", _PASSWORDS.runtime),
            "owner_dsn": made.dsn("rapport_pricing_owner", _PASSWORDS.owner),
        }
    )


def _build(made: MadeDatabase) -> None:
    create_service_database(made.access.dsn(), "pricing", _PASSWORDS, database=made.name)
    upgrade(_settings(made), MIGRATIONS)


@pytest.fixture
def made_pricing(database: MakeDatabase) -> Made:
    made = database(_build)
    create_service_database(made.access.dsn(), "pricing", _PASSWORDS, database=made.name)  # a copy is its maker's
    return Made(made, _settings(made))


@pytest.fixture
async def opened(made_pricing: Made) -> AsyncIterator[Database]:
    database = Database(made_pricing.settings, service="pricing")
    await database.open()
    yield database
    await database.close()
