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

    @classmethod
    def shared(cls, text: str) -> WebhookKey:
        """Read a key that both sides know.

        Raises:
            ValueError: It is none.
        """
        key = cls.parse(text)
        if not key.secret:
            raise ValueError("a signing key is not shared")
        return key

    def sign(self, data: bytes) -> str:
        """Return a signature with its version."""
        if self.key is not None:
            return "v1a," + base64.b64encode(self.key.sign(data)).decode()
        return _v1(hmac.digest(self.secret, data, hashlib.sha256))


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
    prefix = _prefix(given, now)
    return prefix is not None and _is_claimed(given, [key.sign(prefix + body) for key in keys])


class PiecewiseVerification:
    """Says whether a message is signed whose body comes in pieces, without keeping it.

    Only by shared secrets: a signing key signs a body as a whole.

    Args:
        given: Its headers, by names in small letters.
        keys: Keys; those that are no shared secrets verify nothing.
        now: Unix seconds.
    """

    def __init__(self, given: Mapping[str, str], keys: Sequence[WebhookKey], now: int) -> None:
        self._given = given
        prefix = _prefix(given, now)
        secrets = [key.secret for key in keys if key.secret]
        self._macs = [] if prefix is None else [hmac.new(secret, prefix, hashlib.sha256) for secret in secrets]

    def update(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        for mac in self._macs:
            mac.update(piece)

    @property
    def succeeds(self) -> bool:
        """Whether the pieces so far are a body that one of the keys signed, and not old."""
        return _is_claimed(self._given, [_v1(mac.digest()) for mac in self._macs])


def _prefix(given: Mapping[str, str], now: int) -> bytes | None:
    """Return what is signed before the body; None where the message is old, or has no id or time."""
    call_id, at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not _ID.match(call_id) or not at.isdecimal() or len(at) > 12 or abs(now - int(at)) > TOLERANCE_S:
        return None
    return f"{call_id}.{at}.".encode()


def _is_claimed(given: Mapping[str, str], known: Sequence[str]) -> bool:
    claimed = [each.encode() for each in given.get("webhook-signature", "").split()[:10]]
    matches = [hmac.compare_digest(one.encode(), other) for one in known for other in claimed]
    return any(matches)


def _v1(mac: bytes) -> str:
    return "v1," + base64.b64encode(mac).decode()
