"""Mails, keys and certificates of the tests."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from rapport_notification.sending.dkim import DkimKey
from rapport_notification.sending.fields import Address, Text, Token, Url
from rapport_notification.sending.mime import Mail

HOOKS: Final = "hooks.brand.example"


@pytest.fixture(scope="session")
def contexts(tmp_path_factory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    key, now = generate_ec_key(SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOOKS)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(HOOKS), x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))


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
