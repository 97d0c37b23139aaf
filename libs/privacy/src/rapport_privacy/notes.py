"""Signed notes (c2sp.org/signed-note), the checkpoints in them (c2sp.org/tlog-checkpoint) and their cosignatures.

A checkpoint is what a transparency log says of itself: its name, its size, its root. A witness that has seen it
continue what it saw before adds its cosignature (c2sp.org/tlog-cosignature).
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519: Final = 1
"""Type of a key that signs notes."""
COSIGNATURE: Final = 4
"""Type of a key that cosigns checkpoints, with a time."""

_DASH: Final = "\u2014"
_HASH_BYTES: Final = 32
_LARGEST_NOTE: Final = 64_000


class NoteError(Exception):
    """A note, key or checkpoint is malformed, or is not signed as it should be."""


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key that verifies signatures in notes.

    Attributes:
        name: Name of the signer, such as "example.com/consent"; without spaces or plus.
        public_key: Raw Ed25519 public key.
        kind: `ED25519` or `COSIGNATURE`.
    """

    name: str
    public_key: bytes
    kind: int = ED25519

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(letter.isspace() for letter in self.name):
            raise NoteError(f"not the name of a key: {self.name!r}")
        if len(self.public_key) != _HASH_BYTES or self.kind not in (ED25519, COSIGNATURE):
            raise NoteError(f"not a key for notes: {self.name}")

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public_key).digest()[:4]

    def __str__(self) -> str:
        """Return the key as others are told of it (a "vkey")."""
        return f"{self.name}+{self.id.hex()}+{b64encode(bytes([self.kind]) + self.public_key).decode()}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """Return the key in this text.

        Raises:
            NoteError: It is not one.
        """
        name, _, rest = text.strip().partition("+")
        written_id, _, encoded = rest.partition("+")
        material = _decoded(encoded)
        key = cls(name, material[1:], material[0] if material else 0)
        if key.id.hex() != written_id:
            raise NoteError(f"the id of the key {name!r} is not the one that its bytes give it")
        return key


class Signature(NamedTuple):
    """A signature line: who signed, with which key, and what the signature is."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH} {self.name} {b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text with the signatures under it.

    Attributes:
        text: What is signed, with its last line break.
        signatures: The lines under it.
    """

    text: str
    signatures: tuple[Signature, ...] = ()

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    def signed(self, key: NoteKey, signature: bytes) -> Note:
        """Return the note with one signature more."""
        return replace(self, signatures=(*self.signatures, Signature(key.name, key.id, signature)))

    def verified_by(self, keys: Iterable[NoteKey]) -> list[NoteKey]:
        """Return those of the keys that have signed.

        Raises:
            NoteError: A line names one of these keys, and its signature does not verify.
        """
        known = {(key.name, key.id): key for key in keys}
        found = []
        for line in self.signatures:
            key = known.get((line.name, line.key_id))
            if key is None:
                continue
            if not _verifies(key, self.text, line.signature):
                raise NoteError(f"the signature of {line.name} does not belong to this text")
            found.append(key)
        return found

    @classmethod
    def parse(cls, text: str) -> Note:
        """Return the note in this text.

        Raises:
            NoteError: It is not one.
        """
        body, gap, lines = text.rpartition("\n\n")
        if not gap or not lines.endswith("\n") or len(text) > _LARGEST_NOTE:
            raise NoteError("not a signed note: no empty line before its signatures")
        if any(letter < " " and letter != "\n" for letter in text):
            raise NoteError("not a signed note: it has control characters")
        return cls(f"{body}\n", tuple(map(_line, lines[:-1].split("\n"))))


class Checkpoint(NamedTuple):
    """What a log says of itself.

    Attributes:
        origin: Name of the log.
        size: How many leaves it has.
        root: Root of its tree.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Return the checkpoint that a note's text is.

        Raises:
            NoteError: It is not one.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise NoteError("not a checkpoint: it has three lines, or more")
        origin, size, root = lines[0], lines[1], _decoded(lines[2])
        if not (size.isascii() and size.isdigit()) or str(int(size)) != size or len(root) != _HASH_BYTES:
            raise NoteError("not a checkpoint: size or root is malformed")
        return cls(origin, int(size), root)


def signed_checkpoint(checkpoint: Checkpoint, public_key: bytes, sign: Callable[[bytes], bytes]) -> Note:
    """Return the note of a checkpoint, signed under the name of the log.

    Args:
        checkpoint: What the log says.
        public_key: Raw Ed25519 public key of the log.
        sign: Makes a signature with the private half.
    """
    return Note(checkpoint.text).signed(NoteKey(checkpoint.origin, public_key), sign(checkpoint.text.encode()))


def cosigned(note: Note, key: NoteKey, seconds: int, sign: Callable[[bytes], bytes]) -> Note:
    """Return a checkpoint's note with a witness's cosignature.

    Args:
        note: The checkpoint.
        key: The witness's key, of kind `COSIGNATURE`.
        seconds: When, in seconds since 1970.
        sign: Makes a signature with the private half.
    """
    return note.signed(key, seconds.to_bytes(8, "big") + sign(_cosigned_text(note.text, seconds)))


def open_checkpoint(text: str, keys: Iterable[NoteKey]) -> tuple[Checkpoint, list[NoteKey]]:
    """Return the checkpoint in a signed note, and which of the keys have signed it.

    Raises:
        NoteError: It is malformed, a signature of one of these keys is wrong, or none of them has signed.
    """
    note = Note.parse(text)
    signers = note.verified_by(keys)
    if not signers:
        raise NoteError("no key that is known has signed it")
    return Checkpoint.parse(note.text), signers


def _cosigned_text(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _verifies(key: NoteKey, text: str, signature: bytes) -> bool:
    message = text.encode()
    if key.kind == COSIGNATURE:
        seconds, signature = int.from_bytes(signature[:8], "big"), signature[8:]
        message = _cosigned_text(text, seconds)
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _line(line: str) -> Signature:
    dash, name, encoded = [*line.split(" "), "", "", ""][:3]
    decoded = _decoded(encoded)
    if dash != _DASH or not name or line.count(" ") != 2 or len(decoded) < 5:
        raise NoteError("not a signed note: a signature line is malformed")
    return Signature(name, decoded[:4], decoded[4:])


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("not valid Base64") from error
