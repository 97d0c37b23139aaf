"""Mails, keys and certificates of the tests."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rapport_notification
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from notification_https import Contexts, contexts_in
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.settings import DatabaseSettings
from rapport_notification.sending.dkim import DkimKey
from rapport_notification.sending.fields import Address, Text, Token, Url
from rapport_notification.sending.mime import Mail
from rapport_testing.databases import Database as MadeDatabase
from rapport_testing.plugin import MakeDatabase

PASSWORDS = RolePasswords(owner="owner-secret", runtime="runtime-secret")


@pytest.fixture(scope="session")
def contexts(tmp_path_factory) -> Contexts:
    return contexts_in(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def rsa_key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def keys(rsa_key: RSAPrivateKey) -> list[DkimKey]:
    return [DkimKey("r1", rsa_key), DkimKey("e1", Ed25519PrivateKey.generate())]


@pytest.fixture
def mail() -> Callable[..., Mail]:
    def make(**changes: Any) -> Mail:
        values: dict[str, Any] = {
            "sender": Address("shop@mail.brand.example"),
            "sender_name": Text("Brand"),
            "recipient": Address("somebody@example.org"),
            "recipient_name": Text(""),
            "subject": Text("A price has dropped"),
            "message_id": Token("ntf_0123456789abcdef.1"),
            "date": datetime(2026, 11, 2, 9, 30, tzinfo=UTC),
            "text": "Good morning\n\nThe price has dropped.\n",
            "html": "<html><body><p>Good morning</p></body></html>",
            "unsubscribe": Url(f"https://mail.brand.example/u/{'t' * 200}"),
            "list_id": Token("offers"),
        }
        return Mail(**(values | changes))

    return make


def _settings_of(made: MadeDatabase) -> DatabaseSettings:
    return DatabaseSettings.model_validate(
        {
            "dsn": made.dsn("rapport_notification", PASSWORDS.runtime),
            "owner_dsn": made.dsn("rapport_notification_owner", PASSWORDS.owner),
        }
    )


def _build(made: MadeDatabase) -> None:
    create_service_database(made.access.dsn(), "notification", PASSWORDS, database=made.name)
    upgrade(_settings_of(made), Path(rapport_notification.__file__).parent / "migrations")


@pytest.fixture
def settings(database: MakeDatabase) -> DatabaseSettings:
    """A database of the service, as its migrations make it."""
    made = database(_build)
    create_service_database(made.access.dsn(), "notification", PASSWORDS, database=made.name)  # a copy is its maker's
    return _settings_of(made)


@pytest.fixture
async def opened(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The same, open."""
    database = Database(settings, service="notification")
    await database.open()
    yield database
    await database.close()
