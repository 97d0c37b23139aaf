"""Verification of an access or portability package, offline: the archive is all it takes, a published key is better."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError  # noqa: N812 - it is an exception

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from rapport_privacy.log_proofs import ProofError, verify_logged
from rapport_privacy.notes import NoteKey
from rapport_privacy.receipts import ReceiptError, verify_receipt

SCHEMA: Final = "rapport-package/1"

_MANIFEST: Final = "manifest.json"
_SIGNATURE: Final = "manifest.json.sig"
_PROOF: Final = "manifest.tlog-proof"
_KEY: Final = "public-key.pem"
_BESIDE: Final = frozenset({_MANIFEST, _SIGNATURE, _PROOF, _KEY, "log-keys.txt", "SHA256SUMS"})
_LARGEST_BESIDE: Final = 64 << 20
_PIECE: Final = 1 << 16


class PackageError(Exception):
    """A package proves nothing."""


@dataclass(frozen=True, slots=True)
class VerifiedPackage:
    """A package that is what it was when it was sealed.

    Attributes:
        manifest: What it holds.
        public_key: Raw key that signed it.
        logged_at: Place of its entry in the transparency log.
    """

    manifest: dict[str, Any]
    public_key: bytes
    logged_at: int


def verify_package(
    path: Path, public_keys: Mapping[str, bytes] | None = None, witnesses: Sequence[NoteKey] = ()
) -> VerifiedPackage:
    """Verify a package: every file by its digest, the manifest by its signature and its entry in the log.

    Args:
        path: The archive.
        public_keys: Raw keys that are trusted, by key id; None takes the one in the package: compare it with a
            published one.
        witnesses: Keys of witnesses each of which must have cosigned the log.

    Raises:
        PackageError: It is not genuine, or not whole.
    """
    try:
        with ZipFile(path) as archive:
            return _verify(archive, public_keys, witnesses)
    except (OSError, BadZipFile, ZlibError, NotImplementedError, RuntimeError) as error:
        raise PackageError(f"the archive cannot be read: {type(error).__name__}") from error


def _verify(archive: ZipFile, public_keys: Mapping[str, bytes] | None, witnesses: Sequence[NoteKey]) -> VerifiedPackage:
    names = archive.namelist()
    if len(names) != len(set(names)):
        raise PackageError("a file is in it twice")
    document = _read(archive, _MANIFEST)
    key = _trusted(archive, document, public_keys)
    try:
        manifest = verify_receipt(document, _read(archive, _SIGNATURE), key)
    except ReceiptError as error:
        raise PackageError(f"the manifest: {error}") from error
    if manifest.get("schema") != SCHEMA:
        raise PackageError("not the manifest of a package")
    try:
        listed = {file["path"]: (file["sha256"], int(file["bytes"])) for file in manifest["files"]}
    except (KeyError, TypeError, ValueError) as error:
        raise PackageError("the manifest is malformed") from error
    if strange := set(names) - set(listed) - _BESIDE:
        raise PackageError(f"a file in it is not in the manifest: {sorted(strange)[0]}")
    for name, (digest, size) in listed.items():
        if name not in names:
            raise PackageError(f"a file is missing: {name}")
        if _digest(archive, name, size) != digest:
            raise PackageError(f"a file was changed: {name}")
    try:
        keys = [key] if public_keys is None else list(public_keys.values())
        proof = _read(archive, _PROOF).decode()
        entry, _ = verify_logged(proof, keys, witnesses)
    except (ProofError, UnicodeDecodeError) as error:
        raise PackageError(f"its log proof: {error}") from error
    if (entry.get("manifest_sha256"), entry.get("request_id")) != (
        sha256(document).hexdigest(),
        manifest["request_id"],
    ):
        raise PackageError("the entry in the transparency log is of another package")
    index = int(proof.partition("\nindex ")[2].partition("\n")[0])
    return VerifiedPackage(manifest, key, index)


def _trusted(archive: ZipFile, document: bytes, public_keys: Mapping[str, bytes] | None) -> bytes:
    """Return the key that must have signed: one that is trusted, or else the package's own."""
    if public_keys is not None:
        try:
            return public_keys[str(json.loads(document)["kid"])]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise PackageError("no key that is trusted has signed it") from error
    try:
        key = load_pem_public_key(_read(archive, _KEY))
    except ValueError as error:
        raise PackageError("it holds no key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise PackageError("its key is not an Ed25519 key")
    return key.public_bytes_raw()


def _read(archive: ZipFile, name: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise PackageError(f"a file is missing: {name}") from error
    if info.file_size > _LARGEST_BESIDE:
        raise PackageError(f"a file is too large: {name}")
    return archive.read(info)


def _digest(archive: ZipFile, name: str, size: int) -> str:
    """Return the digest of a file, of at most as many bytes as it should have: an archive may unpack to very much."""
    hashed, left = sha256(), size
    with archive.open(name) as file:
        while left > 0 and (piece := file.read(min(_PIECE, left))):
            hashed.update(piece)
            left -= len(piece)
        return hashed.hexdigest() if not left and not file.read(1) else ""
