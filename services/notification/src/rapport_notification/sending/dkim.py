"""Signs mails by DKIM (RFC 6376), rsa-sha256 with at least 2048 bits, relaxed/relaxed; Ed25519 beside it if wanted.

Every header the writer may write is signed. Those that tell a reader who speaks, to whom, about what and how to stop it
are named once more than they occur, so that a second one cannot be added without breaking the signature.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from rapport_notification.sending.mime import Written

KEY_BITS: Final = 2048

_ONCE: Final = (b"date", b"message-id", b"mime-version", b"auto-submitted", b"list-id", b"content-type")
_OVERSIGNED: Final = (b"from", b"to", b"subject", b"reply-to", b"list-unsubscribe", b"list-unsubscribe-post")
_PADDING: Final = PKCS1v15()
_HASH: Final = SHA256()


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A key and where its public half is published.

    Attributes:
        selector: Its name: the record is at `<selector>._domainkey.<domain>`.
        key: RSA of at least 2048 bits, or Ed25519.
    """

    selector: str
    key: RSAPrivateKey | Ed25519PrivateKey


class DkimSigner:
    """Signs the mails of one domain."""

    def __init__(self, domain: str, keys: Sequence[DkimKey]) -> None:
        """Take the keys.

        Args:
            domain: That of the From addresses, or one above it.
            keys: RSA first. One signature is made with each; Ed25519 alone is not verified by all, so it is refused.

        Raises:
            ValueError: There is no RSA key, or one is too short.
        """
        if not keys or not isinstance(keys[0].key, RSAPrivateKey):
            raise ValueError("the first DKIM key is an RSA key")
        if any(isinstance(each.key, RSAPrivateKey) and each.key.key_size < KEY_BITS for each in keys):
            raise ValueError(f"an RSA key for DKIM has at least {KEY_BITS} bits")
        self._domain = domain.encode("ascii")
        self._keys = tuple(keys)

    def sign(self, mail: Written, signed_at: int) -> tuple[tuple[bytes, bytes], ...]:
        """Return the signature headers, to stand in front of the mail's own.

        Args:
            mail: The mail.
            signed_at: Unix seconds.
        """
        body_hash = base64.b64encode(hashlib.sha256(relaxed_body(mail.body)).digest())
        values = {name.lower(): value for name, value in mail.headers}
        signed = [name for name in (*_OVERSIGNED, *_ONCE) if name in values]
        names = b":".join([*signed, *_OVERSIGNED])
        canonical = b"".join([_relaxed_header(name, values[name]) + b"\r\n" for name in signed])
        return tuple(self._signature(each, names, canonical, body_hash, signed_at) for each in self._keys)

    def _signature(
        self, key: DkimKey, names: bytes, canonical: bytes, body_hash: bytes, signed_at: int
    ) -> tuple[bytes, bytes]:
        rsa = isinstance(key.key, RSAPrivateKey)
        value = b"v=1; a=%s; c=relaxed/relaxed; d=%s; s=%s; t=%d;\r\n h=%s;\r\n bh=%s;\r\n b=" % (
            b"rsa-sha256" if rsa else b"ed25519-sha256",
            self._domain,
            key.selector.encode("ascii"),
            signed_at,
            names,
            body_hash,
        )
        data = canonical + _relaxed_header(b"dkim-signature", value)
        if isinstance(key.key, RSAPrivateKey):
            signature = key.key.sign(data, _PADDING, _HASH)
        else:
            signature = key.key.sign(hashlib.sha256(data).digest())
        encoded = base64.b64encode(signature)
        folded = b"\r\n ".join(encoded[at : at + 72] for at in range(0, len(encoded), 72))
        return b"DKIM-Signature", value + folded


def relaxed_body(body: bytes) -> bytes:
    """Return a body as it is hashed: runs of blanks are one, none ends a line, no empty line ends it (3.4.4)."""
    text = _single_spaced(body).replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return text + b"\r\n" if text else b""


def _relaxed_header(name: bytes, value: bytes) -> bytes:
    text = value.replace(b"\r\n", b"") if b"\r\n" in value else value
    return name + b":" + _single_spaced(text).strip()


def _single_spaced(text: bytes) -> bytes:
    """Make each run of blanks one space: in a few passes of the machine's own search, an order below a pattern's."""
    text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text
