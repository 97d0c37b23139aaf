"""Return paths that say which send a bounce belongs to, even when it quotes nothing (VERP), and that nobody can make.

    b+<base32 of message id, attempt and seal>@bounces.brand.example

Lower case only, for some servers change the case of what is left of the @.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Final

from rapport_notification.sending.fields import Address

KEY_BYTES: Final = 32

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX: Final = "ntf_"
_ID_LETTERS: Final = 22
_ID_BYTES: Final = 17
_SEAL_BYTES: Final = 10


class ReturnPaths:
    """Makes and reads return paths."""

    def __init__(self, keys: Sequence[bytes], domain: str) -> None:
        """Take the keys: the newest first, which seals; all of them open.

        Raises:
            ValueError: There is none, or one is too short.
        """
        if not keys or any(len(key) < KEY_BYTES for key in keys):
            raise ValueError(f"return paths need a key of at least {KEY_BYTES} bytes")
        self._keys = tuple(keys)
        self._domain = domain

    def address(self, notification_id: str, attempt: int) -> Address:
        """Return where bounces of an attempt go.

        Raises:
            ValueError: The id is none, or the attempt is not from 1 to 255.
        """
        body = _packed(notification_id) + attempt.to_bytes(1, "big")
        if attempt < 1:
            raise ValueError("attempts count from 1")
        token = base64.b32encode(body + self._seal(self._keys[0], body)).decode().rstrip("=").lower()
        return Address(f"b+{token}@{self._domain}")

    def open(self, address: str) -> tuple[str, int] | None:
        """Return message and attempt; None if the address was not made here."""
        local, _, domain = address.lower().rpartition("@")
        kind, _, token = local.partition("+")
        if kind != "b" or domain != self._domain.lower():
            return None
        try:
            data = base64.b32decode(token.upper() + "=" * (-len(token) % 8))
        except (binascii.Error, ValueError):
            return None
        body, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
        known = [hmac.compare_digest(self._seal(key, body), seal) for key in self._keys]
        if len(body) != _ID_BYTES + 1 or not any(known):
            return None
        return _unpacked(body[:_ID_BYTES]), body[_ID_BYTES]

    def _seal(self, key: bytes, body: bytes) -> bytes:
        return hmac.digest(key, b"rapport return path" + body, "sha256")[:_SEAL_BYTES]


def _packed(notification_id: str) -> bytes:
    letters = notification_id.removeprefix(_PREFIX)
    if len(letters) != _ID_LETTERS or not notification_id.startswith(_PREFIX):
        raise ValueError("not the id of a message")
    number = 0
    for letter in letters:
        number = number * 62 + _ALPHABET.index(letter)
    return number.to_bytes(_ID_BYTES, "big")


def _unpacked(data: bytes) -> str:
    number, letters = int.from_bytes(data, "big"), []
    for _ in range(_ID_LETTERS):
        number, letter = divmod(number, 62)
        letters.append(_ALPHABET[letter])
    return _PREFIX + "".join(reversed(letters))
