"""The Ed25519 keys a service signs with: one that is active, and retired ones that go on verifying.

A folder holds `keys.json`, the list of all public keys with their times, and the private key of the active one as
`<kid>.pem` (PKCS #8). A retired key's private half is deleted: nobody can sign with it any more.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.key_folder import KeyFolderError, destroy_key_file, locked, write_key_file
from rapport_chassis.reloading import Reloaded

_INDEX: Final = "keys.json"
_KID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies.

    Attributes:
        kid: First 16 bytes of SHA-256 over the raw public key, in lower-case hex.
        public_key: The 32 raw bytes.
        active_from: From when it signs.
        retired_at: From when it only verifies; None for the active one.
    """

    kid: str
    public_key: bytes
    active_from: datetime
    retired_at: datetime | None = None

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature was made over the message with this key's private half."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class _KeyRing:
    active: Ed25519PrivateKey
    active_kid: str
    public: tuple[PublicKey, ...]  # newest first


def kid_of(public_key: bytes) -> str:
    """Return the id of a raw public key."""
    return sha256(public_key).digest()[:_KID_BYTES].hex()


class SigningKeys:
    """The keys in a folder, read again after another process rotated them."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._ring = Reloaded("signing keys", [folder / _INDEX], lambda: _read(folder))

    @classmethod
    def load(cls, folder: Path, clock: Clock | None = None) -> SigningKeys:
        """Read the keys; the first one is made if the folder is there and has none.

        Raises:
            KeyFolderError: The folder is missing or cannot be written, or what it holds does not fit together.
        """
        clock = clock or SystemClock()
        if not (folder / _INDEX).exists():
            with locked(folder):
                if not (folder / _INDEX).exists():
                    _add_key(folder, (), clock.now())
        return cls(folder, clock)

    def sign(self, message: bytes) -> tuple[str, bytes]:
        """Return the id of the active key and its signature over the message."""
        ring = self._ring.current()
        return ring.active_kid, ring.active.sign(message)

    def verify(self, kid: str, message: bytes, signature: bytes) -> bool:
        """Whether the key of this id, active or retired, made the signature; False for an unknown key."""
        return any(key.verifies(message, signature) for key in self.public_keys() if key.kid == kid)

    def public_keys(self) -> tuple[PublicKey, ...]:
        """Return all public keys, the active one first, then the retired ones, the newest first."""
        return self._ring.current().public

    def rotate(self) -> str:
        """Make a new key the active one, retire the one before, and return the new key's id.

        Other processes sign with the new key within a second; until then they sign with the one just retired, which
        verifies for ever. May be called while others sign, or rotate.

        Raises:
            KeyFolderError: The folder cannot be written.
        """
        with locked(self._folder):
            kid = _add_key(self._folder, _read(self._folder).public, self._clock.now())
            for path in self._folder.glob("*.pem"):
                if path.stem != kid:
                    destroy_key_file(path)
        self._ring = Reloaded("signing keys", [self._folder / _INDEX], lambda: _read(self._folder))
        return kid


def _read(folder: Path) -> _KeyRing:
    """Read the list and the private key it names; once more if a rotation came between the two."""
    while True:
        listed = _list_in(folder)
        try:
            return _key_ring(folder, listed)
        except KeyFolderError:
            if _list_in(folder) == listed:
                raise


def _list_in(folder: Path) -> bytes:
    try:
        return (folder / _INDEX).read_bytes()
    except OSError as error:
        raise KeyFolderError(f"the signing keys in {folder} cannot be read: {error.strerror}") from error


def _key_ring(folder: Path, listed: bytes) -> _KeyRing:
    try:
        rows = json.loads(listed)["keys"]
        public = tuple(
            PublicKey(
                kid=row["kid"],
                public_key=b64decode(row["public_key"], validate=True),
                active_from=datetime.fromisoformat(row["active_from"]),
                retired_at=datetime.fromisoformat(row["retired_at"]) if row["retired_at"] else None,
            )
            for row in rows
        )
        (active,) = (key for key in public if key.retired_at is None)
        private = load_pem_private_key((folder / f"{active.kid}.pem").read_bytes(), password=None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeyFolderError(f"the signing keys in {folder} cannot be read: {type(error).__name__}") from error
    if not isinstance(private, Ed25519PrivateKey) or private.public_key().public_bytes_raw() != active.public_key:
        raise KeyFolderError(f"the private key {active.kid} in {folder} is not the one of the list")
    if any(kid_of(key.public_key) != key.kid for key in public):
        raise KeyFolderError(f"a key in {folder} does not have the id that its bytes give it")
    return _KeyRing(private, active.kid, public)


def _add_key(folder: Path, before: tuple[PublicKey, ...], now: datetime) -> str:
    """Write a new active key beside those before; the list is replaced last, in one step."""
    private = Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes_raw()
    new = PublicKey(kid_of(raw), raw, now)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    retired = [key if key.retired_at else replace(key, retired_at=now) for key in before]
    rows = [
        {
            "kid": key.kid,
            "public_key": b64encode(key.public_key).decode(),
            "active_from": key.active_from.isoformat(),
            "retired_at": key.retired_at.isoformat() if key.retired_at else None,
        }
        for key in (new, *retired)
    ]
    write_key_file(folder / f"{new.kid}.pem", pem)
    write_key_file(folder / _INDEX, json.dumps({"keys": rows}, indent=2).encode())
    return new.kid
