"""A database as the service has it: migrated, with its two roles, one copy for each test."""

from __future__ import annotations

import pytest
from consent_desk import CONSENT
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.settings import DatabaseSettings
from rapport_testing.databases import Database
from rapport_testing.plugin import MakeDatabase

_PASSWORDS = RolePasswords(owner="owner-secret", runtime="runtime-secret")


def _settings(made: Database) -> DatabaseSettings:
    return DatabaseSettings.model_validate(
        {
            "dsn": made.dsn("rapport_consent", _PASSWORDS.runtime),
            "owner_dsn": made.dsn("rapport_consent_owner", _PASSWORDS.owner),
        }
    )


def _build_template(made: Database) -> None:
    create_service_database(made.access.dsn(), "consent", _PASSWORDS, database=made.name)
    upgrade(_settings(made), CONSENT.migrations)


@pytest.fixture
def made_database(database: MakeDatabase) -> Database:
    """The database, as the superuser sees it."""
    made = database(_build_template)
    # A copy belongs to whoever made it.
    create_service_database(made.access.dsn(), "consent", _PASSWORDS, database=made.name)
    return made


@pytest.fixture
def settings(made_database: Database) -> DatabaseSettings:
    """How the two roles reach it."""
    return _settings(made_database)
