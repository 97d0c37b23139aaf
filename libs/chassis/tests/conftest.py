"""A database as a service has it: two roles, the chassis' tables, one copy per test."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.settings import DatabaseSettings

MIGRATIONS = Path(__file__).with_name("migrations")
_SERVICE = "sample"
_PASSWORDS = RolePasswords(owner="owner-secret", runtime="runtime-secret")


def _settings(made: Any) -> DatabaseSettings:
    return DatabaseSettings(
        dsn=SecretStr(made.dsn(f"rapport_{_SERVICE}", _PASSWORDS.runtime)),
        owner_dsn=SecretStr(made.dsn(f"rapport_{_SERVICE}_owner", _PASSWORDS.owner)),
        pool_min=1,
        pool_max=8,
    )


def _build_template(made: Any) -> None:
    create_service_database(made.access.dsn(), _SERVICE, _PASSWORDS, database=made.name)
    upgrade(_settings(made), MIGRATIONS)


@pytest.fixture
def database_settings(database: Callable[..., Any]) -> DatabaseSettings:
    """Settings of a fresh database that holds the chassis' tables."""
    made = database(_build_template)
    # A copy belongs to whoever made it; its roles, which belong to the whole cluster, have their passwords.
    create_service_database(made.access.dsn(), _SERVICE, RolePasswords(), database=made.name)
    return _settings(made)


@pytest.fixture
def empty_database_settings(database: Callable[..., Any]) -> DatabaseSettings:
    """Settings of a fresh database with its roles and no table."""
    made = database()
    create_service_database(made.access.dsn(), _SERVICE, _PASSWORDS, database=made.name)
    return _settings(made)


@pytest.fixture
async def service_database(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    """An open database with the chassis' tables."""
    opened = Database(database_settings, service=_SERVICE)
    await opened.open()
    yield opened
    await opened.close()
