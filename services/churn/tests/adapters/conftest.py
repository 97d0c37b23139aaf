"""A database as the service has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import rapport_churn
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.settings import DatabaseSettings
from rapport_testing.databases import Database as MadeDatabase
from rapport_testing.plugin import MakeDatabase

_PASSWORDS = RolePasswords(owner="owner-secret", runtime="runtime-secret")
MIGRATIONS = Path(rapport_churn.__file__).parent / "migrations"


def _settings(made: MadeDatabase) -> DatabaseSettings:
    return DatabaseSettings.model_validate(
        {
            "dsn": made.dsn("rapport_churn", _PASSWORDS.runtime),
            "owner_dsn": made.dsn("rapport_churn_owner", _PASSWORDS.owner),
        }
    )


def _build(made: MadeDatabase) -> None:
    create_service_database(made.access.dsn(), "churn", _PASSWORDS, database=made.name)
    upgrade(_settings(made), MIGRATIONS)


@dataclass
class Made:
    """A migrated database: as the superuser sees it, and how its two roles reach it."""

    database: MadeDatabase
    settings: DatabaseSettings
    migrations: Path


@pytest.fixture
def made_churn(database: MakeDatabase) -> Made:
    made = database(_build)
    create_service_database(made.access.dsn(), "churn", _PASSWORDS, database=made.name)  # a copy is its maker's
    return Made(made, _settings(made), MIGRATIONS)


@pytest.fixture
async def opened(made_churn: Made) -> AsyncIterator[Database]:
    database = Database(made_churn.settings, service="churn")
    await database.open()
    yield database
    await database.close()
