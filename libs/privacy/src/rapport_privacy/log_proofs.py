"""Proofs that something is in the transparency log, checked offline (c2sp.org/tlog-proof).

A leaf holds a commitment: SHA-256 over a salt and a record. Whoever has record and salt writes the leaf again, follows
the proof to a root, and finds that root in a checkpoint that the log has signed.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import rfc8785

from rapport_privacy.merkle import is_included, leaf_hash
from rapport_privacy.notes import Checkpoint, NoteError, NoteKey, open_checkpoint

_HEADING: Final = "c2sp.org/tlog-proof@v1"
_DEEPEST: Final = 64


class ProofError(Exception):
    """A proof is malformed, or does not prove what it should."""


@dataclass(frozen=True, slots=True)
class LogProof:
    """A proof that a leaf is in the log.

    Attributes:
        index: Place of the leaf, from 0.
        hashes: From the leaf's sibling up.
        checkpoint: The signed note of the tree they lead to.
        extra: What the leaf is written from (`Opening`); not signed itself.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    def __str__(self) -> str:
        extra = [f"extra {b64encode(self.extra).decode()}"] if self.extra else []
        lines = [_HEADING, *extra, f"index {self.index}", *(b64encode(each).decode() for each in self.hashes)]
        return "\n".join(lines) + f"\n\n{self.checkpoint}"

    @classmethod
    def parse(cls, text: str) -> LogProof:
        """Return the proof in this text.

        Raises:
            ProofError: It is not one.
        """
        head, gap, checkpoint = text.partition("\n\n")
        heading, *lines = head.split("\n")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = _decoded(lines.pop(0).removeprefix("extra "))
        index = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
        hashes = tuple(map(_decoded, lines))
        if heading != _HEADING or not gap or not (index.isascii() and index.isdigit()) or str(int(index)) != index:
            raise ProofError("not a proof of a transparency log")
        if len(hashes) > _DEEPEST or any(len(each) != 32 for each in hashes):
            raise ProofError("not a proof of a transparency log: its hashes are malformed")
        return cls(int(index), hashes, checkpoint, extra)

    def verify(self, leaf: bytes, keys: Iterable[NoteKey]) -> tuple[Checkpoint, list[NoteKey]]:
        """Return the checkpoint that the leaf is proven to be in, and who has signed it.

        Args:
            leaf: The leaf.
            keys: Keys of the log, retired ones included, and of witnesses.

        Raises:
            ProofError: The leaf is not in that tree, or the log has not signed it.
        """
        try:
            checkpoint, signers = open_checkpoint(self.checkpoint, keys)
        except NoteError as error:
            raise ProofError(f"the checkpoint is not genuine: {error}") from error
        if not any(key.name == checkpoint.origin for key in signers):
            raise ProofError("the log itself has not signed the checkpoint")
        if not is_included(leaf_hash(leaf), self.index, checkpoint.size, self.hashes, checkpoint.root):
            raise ProofError("the leaf is not in the tree of the checkpoint")
        return checkpoint, signers


@dataclass(frozen=True, slots=True)
class Opening:
    """What a leaf commits to, and the salt that opens it.

    Attributes:
        kind: "ledger" or "privacy".
        record: Canonical JSON of what was recorded.
        salt: Random bytes.
    """

    kind: str
    record: bytes
    salt: bytes

    @property
    def leaf(self) -> bytes:
        """The leaf it was written as."""
        return leaf_of(self.kind, commitment(self.salt, self.record))

    @property
    def fields(self) -> dict[str, Any]:
        """What was recorded."""
        found: dict[str, Any] = json.loads(self.record)
        return found

    def __bytes__(self) -> bytes:
        """Return what goes into a proof as its extra data."""
        return rfc8785.dumps({"kind": self.kind, "record": json.loads(self.record), "salt": self.salt.hex()})

    @classmethod
    def parse(cls, data: bytes) -> Opening:
        """Return the opening in a proof's extra data.

        Raises:
            ProofError: It is not one.
        """
        try:
            fields = json.loads(data)
            record = rfc8785.dumps(dict(fields["record"]))
            return cls(str(fields["kind"]), record, bytes.fromhex(fields["salt"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProofError("the proof does not say what is in its leaf") from error


def commitment(salt: bytes, record: bytes) -> bytes:
    """Return the commitment to a record."""
    return sha256(salt + record).digest()


def leaf_of(kind: str, committed: bytes) -> bytes:
    """Return a leaf: its one canonical form (RFC 8785), which anybody can write again from a record and its salt."""
    return json.dumps({"commitment": committed.hex(), "kind": kind}, separators=(",", ":")).encode()


def verify_opened(proof: LogProof, keys: Iterable[NoteKey]) -> tuple[dict[str, Any], Checkpoint, list[NoteKey]]:
    """Return what is proven to be in the log by a proof that carries its opening, where, and who has signed.

    Raises:
        ProofError: It proves nothing.
    """
    opening = Opening.parse(proof.extra)
    checkpoint, signers = proof.verify(opening.leaf, keys)
    return opening.fields, checkpoint, signers


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofError("not a proof of a transparency log: not Base64") from error


def verify_logged(
    text: str, public_keys: Iterable[bytes], witnesses: Iterable[NoteKey] = ()
) -> tuple[dict[str, Any], Checkpoint]:
    """Return what a proof says is in the log, and in which tree.

    Args:
        text: The proof, with its opening.
        public_keys: Raw keys of which the service signs with one, retired ones included.
        witnesses: Keys of witnesses each of which must have cosigned: who trusts them need not fear that others are
            shown another log.

    Raises:
        ProofError: It proves nothing.
    """
    proof, witnesses = LogProof.parse(text), tuple(witnesses)
    origin = proof.checkpoint.partition("\n")[0]
    try:
        keys = [NoteKey(origin, key) for key in public_keys]
    except NoteError as error:
        raise ProofError(f"the checkpoint is not genuine: {error}") from error
    fields, checkpoint, signers = verify_opened(proof, [*keys, *witnesses])
    for witness in witnesses:
        if witness not in signers:
            raise ProofError(f"{witness.name} has not cosigned it")
    return fields, checkpoint
