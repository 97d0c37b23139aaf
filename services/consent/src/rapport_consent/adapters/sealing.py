"""Seals what must not lie in the clear: AES-256-GCM under keys of their own, each bound to what it belongs to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KID: Final = 8
_NONCE: Final = 12
_KEY: Final = 32


class Sealer:
    """Seals with the newest key and opens with any.

    Args:
        keys: Keys of 32 bytes, the newest first.

    Raises:
        ValueError: There is none, or one has another length.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != _KEY for key in keys):
            raise ValueError("a vault needs keys of 32 bytes")
        self._newest = _kid(keys[0])
        self._keys = {_kid(key): AESGCM(key) for key in keys}

    @classmethod
    def load(cls, path: Path) -> Sealer:
        """Read keys from a file: one a line in hexadecimal, the newest first."""
        return cls([bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()])

    @classmethod
    def fresh(cls) -> tuple[Sealer, bytes]:
        """Return one with a key of its own, and the key."""
        key = os.urandom(_KEY)
        return cls([key]), key

    def seal(self, content: bytes, belongs_to: str) -> bytes:
        """Return content that opens only with the key, and only for what it belongs to."""
        nonce = os.urandom(_NONCE)
        return self._newest + nonce + self._keys[self._newest].encrypt(nonce, content, belongs_to.encode())

    def open(self, sealed: bytes, belongs_to: str) -> bytes:
        """Return the content.

        Raises:
            ValueError: The key is gone, or it was changed, or belongs to something else.
        """
        key = self._keys.get(sealed[:_KID])
        if key is None:
            raise ValueError("the key that sealed this is gone")
        try:
            return key.decrypt(sealed[_KID : _KID + _NONCE], sealed[_KID + _NONCE :], belongs_to.encode())
        except InvalidTag:
            raise ValueError("what was sealed does not open") from None


def _kid(key: bytes) -> bytes:
    return sha256(key).digest()[:_KID]
