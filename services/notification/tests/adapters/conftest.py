"""Mails, keys and certificates of the tests."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from notification_https import Contexts, contexts_in
from rapport_notification.sending.dkim import DkimKey
from rapport_notification.sending.fields import Address, Text, Token, Url
from rapport_notification.sending.mime import Mail


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
