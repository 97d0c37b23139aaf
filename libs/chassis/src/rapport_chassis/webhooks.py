"""Signatures of webhooks as Standard Webhooks 1.0 says: v1 by HMAC, v1a by Ed25519, the same id for each repeat."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TOLERANCE_S: Final = 300
"""How old a signed message may be, or how far ahead its sender's clock."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,100}\Z")


@dataclass(frozen=True, slots=True)
class WebhookKey:
    """A key of an endpoint: a shared secret (whsec_) for v1, or a signing key (whsk_) for v1a.

    Attributes:
        secret: For v1.
        key: For v1a.
    """

    secret: bytes = b""
    key: Ed25519PrivateKey | None = None

    @classmethod
    def parse(cls, text: str) -> WebhookKey:
        """Read a key.

        Raises:
            ValueError: It has neither prefix, or not the length of its kind: taking one for the other is a mistake
                that would be made silently.
        """
        prefix, _, encoded = text.partition("_")
        try:
            data = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise ValueError("not a webhook key") from None
        if prefix == "whsec" and 24 <= len(data) <= 64:
            return cls(secret=data)
        # The seed, or the seed and the public key as some libraries keep them.
        if prefix == "whsk" and len(data) in {32, 64}:
            return cls(key=Ed25519PrivateKey.from_private_bytes(data[:32]))
        raise ValueError("not a webhook key")

    def sign(self, data: bytes) -> str:
        """Return a signature with its version."""
        if self.key is not None:
            return "v1a," + base64.b64encode(self.key.sign(data)).decode()
        return "v1," + base64.b64encode(hmac.digest(self.secret, data, hashlib.sha256)).decode()


def signed_headers(message_id: str, timestamp: int, body: bytes, keys: Sequence[WebhookKey]) -> dict[str, str]:
    """Return the headers of a message; one signature for each key, so that keys can change.

    Raises:
        ValueError: There is no key, or the id holds a dot, which parts what is signed.
    """
    if not keys or "." in message_id:
        raise ValueError("a webhook has a key, and an id without a dot")
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(key.sign(signed) for key in keys),
    }


def verified(given: Mapping[str, str], body: bytes, keys: Sequence[WebhookKey], now: int) -> bool:
    """Say whether a message is signed by one of the keys, and not old.

    Args:
        given: Its headers, by names in small letters.
        body: Its body.
        keys: Shared secrets; signing keys verify what was signed with their private half.
        now: Unix seconds.
    """
    call_id, at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not _ID.match(call_id) or not at.isdecimal() or len(at) > 12 or abs(now - int(at)) > TOLERANCE_S:
        return False
    signed = f"{call_id}.{at}.".encode() + body
    known = [key.sign(signed).encode() for key in keys]
    claimed = [each.encode() for each in given.get("webhook-signature", "").split()]
    matches = [hmac.compare_digest(one, other) for one in known for other in claimed[:10]]
    return any(matches)
