"""Signed links for one purpose: who opens one may do that one thing for that one subject, until it expires.

Used where a person comes without a login: unsubscribe, confirm, fetch a package.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rapport_chassis.asgi.errors import HTTP_ERRORS
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError

KEY_BYTES: Final = 32
"""Least length of a key."""
TOKEN_LIMIT: Final = 1024

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">B4sQB")  # version, key id, expiry in Unix seconds, length of the purpose
_MAC_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Link:
    """What a valid link says.

    Attributes:
        subject: What or whom it is about.
        expires_at: From when on it is refused.
    """

    subject: str
    expires_at: datetime


class LinkSigner:
    """Makes and opens link tokens with HMAC-SHA-256."""

    def __init__(self, keys: Sequence[bytes], *, clock: Clock) -> None:
        """Take the keys.

        Args:
            keys: The newest first: it signs, all of them verify. To rotate, put a new one in front and drop an old one
                once its last link has expired.
            clock: Decides what has expired.

        Raises:
            ValueError: There is no key, or one is shorter than `KEY_BYTES`.
        """
        if not keys or any(len(key) < KEY_BYTES for key in keys):
            raise ValueError(f"link keys: at least one, each of at least {KEY_BYTES} bytes")
        self._keys = {_key_id(key): key for key in reversed(keys)}
        self._signing = keys[0]
        self._clock = clock

    def sign(self, purpose: str, subject: str, expires_at: datetime) -> str:
        """Return a token for a URL, without padding.

        Args:
            purpose: What the link allows, as a code such as "unsubscribe".
            subject: An opaque id: whoever holds the link can read it.
            expires_at: Aware; rounded down to the second.

        Raises:
            ValueError: Purpose or subject are empty or too long, or the time is naive.
        """
        code = purpose.encode()
        if not 0 < len(code) < 256 or not subject or expires_at.tzinfo is None:
            raise ValueError("a link needs a purpose of at most 255 bytes, a subject and an aware expiry")
        head = _HEAD.pack(_VERSION, _key_id(self._signing), int(expires_at.timestamp()), len(code))
        token = _encoded(_sealed(head + code + subject.encode(), self._signing))
        if len(token) > TOKEN_LIMIT:
            raise ValueError(f"a link token has at most {TOKEN_LIMIT} characters")
        return token

    def open(self, purpose: str, token: str) -> Link:
        """Return what the link says, if it was made here, for this purpose, and is not past its time.

        Raises:
            RapportError: LINK_INVALID, LINK_PURPOSE_WRONG or LINK_EXPIRED.
        """
        body = self._verified(token)
        _, _, expiry, length = _HEAD.unpack_from(body)
        code, subject = body[_HEAD.size : _HEAD.size + length], body[_HEAD.size + length :]
        if code != purpose.encode():
            raise HTTP_ERRORS.error("LINK_PURPOSE_WRONG", "The link was made for something else.")
        expires_at = datetime.fromtimestamp(expiry, UTC)
        if self._clock.now() >= expires_at:
            raise HTTP_ERRORS.error("LINK_EXPIRED", "The link is past its time.")
        return Link(subject.decode(), expires_at)

    def _verified(self, token: str) -> bytes:
        """Return the signed bytes; nothing in them is looked at before the signature holds, but for the key's id."""
        sealed = _decoded(token)
        if sealed is None or len(sealed) <= _HEAD.size + _MAC_BYTES or sealed[0] != _VERSION:
            raise _invalid()
        key = self._keys.get(sealed[1:5])
        body = sealed[:-_MAC_BYTES]
        if key is None or not hmac.compare_digest(_sealed(body, key), sealed):
            raise _invalid()
        return body


def _invalid() -> RapportError:
    return HTTP_ERRORS.error("LINK_INVALID", "The link is not valid.")


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"rapport link key id" + key).digest()[:4]


def _sealed(body: bytes, key: bytes) -> bytes:
    return body + hmac.digest(key, b"rapport link" + body, "sha256")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(token: str) -> bytes | None:
    """Return the bytes; None unless the token is exactly what `_encoded` makes of them, so no two tokens are equal."""
    if len(token) > TOKEN_LIMIT or not token.isascii():
        return None
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return data if _encoded(data) == token else None
