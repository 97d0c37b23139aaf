"""What is kept encrypted, under keys that change: the newest seals, all of them open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE: Final = 12


class Sealer:
    """Seals and opens.

    Args:
        keys: The newest first, of at least 32 bytes each.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key[:32]) for key in keys]

    def seal(self, plain: bytes) -> bytes:
        """Return something encrypted."""
        nonce = os.urandom(_NONCE)
        return nonce + self._ciphers[0].encrypt(nonce, plain, None)

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            ValueError: It was sealed with a key that is not there any more.
        """
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
            except InvalidTag:
                continue
        raise ValueError("no key opens it")
