"""A witness of the transparency log: cosigns a checkpoint only if it continues what it cosigned before.

Run by somebody else than the log, it makes sure that everybody is shown the same log. What it finds instead, two signed
checkpoints that cannot both be of one log, it keeps: that is proof of the fraud.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rapport_chassis.key_folder import write_key_file

from rapport_privacy.merkle import EMPTY_ROOT, is_consistent
from rapport_privacy.notes import COSIGNATURE, Checkpoint, Note, NoteError, NoteKey, cosigned, open_checkpoint

_KEY: Final = "witness.key"

ConsistencyProof = Callable[[int, int], Awaitable[Sequence[bytes]]]
"""Fetches the hashes that prove that a tree of the second size continues one of the first."""


class SplitViewError(Exception):
    """The log has signed two checkpoints that cannot both be of one log.

    Attributes:
        evidence: The file in which both are kept.
    """

    def __init__(self, message: str, evidence: Path) -> None:
        super().__init__(message)
        self.evidence = evidence


class Witness:
    """A witness with its key and what it saw last, in a folder.

    Args:
        folder: Where they are; made where it is missing, and only its owner may read it.
        name: Name of the witness, best an address, without spaces or plus.

    Raises:
        KeyFolderError: The folder cannot be written; from `take`, too.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._private = _private_key(folder / _KEY)
        self.key = NoteKey(name, self._private.public_key().public_bytes_raw(), COSIGNATURE)

    def last(self, origin: str) -> tuple[Checkpoint, str] | None:
        """Return what was cosigned last of a log, and the cosigned note; None before the first time."""
        try:
            text = self._file(origin).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return open_checkpoint(text, [self.key])[0], text

    async def take(self, text: str, log_keys: Iterable[NoteKey], prove: ConsistencyProof, *, seconds: int) -> str:
        """Check a checkpoint, cosign and keep it; return the cosigned note.

        Args:
            text: Its signed note.
            log_keys: Keys of the log that are trusted.
            prove: Fetches proofs from the log.
            seconds: The time, in seconds since 1970.

        Raises:
            NoteError: It is malformed, or not signed by the log.
            SplitViewError: It does not continue what was cosigned before.
        """
        checkpoint, signers = open_checkpoint(text, log_keys)
        if not any(key.name == checkpoint.origin for key in signers):
            raise NoteError("the log itself has not signed it")
        before = self.last(checkpoint.origin)
        if before is not None:
            await self._require_continued(*before, checkpoint, text, prove)
        note = cosigned(Note.parse(text), self.key, seconds, self._private.sign)
        write_key_file(self._file(checkpoint.origin), str(note).encode())
        return str(note)

    async def _require_continued(
        self, last: Checkpoint, last_text: str, checkpoint: Checkpoint, text: str, prove: ConsistencyProof
    ) -> None:
        if checkpoint.size < last.size:
            raise self._split(f"the log shrank from {last.size} to {checkpoint.size} entries", last_text, text)
        if last.size == 0:
            if last.root != EMPTY_ROOT:
                raise self._split("a log without entries had a root", last_text, text)
            return
        hashes = [] if checkpoint.size == last.size else await prove(last.size, checkpoint.size)
        if not is_consistent(last.size, last.root, checkpoint.size, checkpoint.root, hashes):
            raise self._split(
                f"the log of {checkpoint.size} entries does not continue that of {last.size}", last_text, text
            )

    def _split(self, message: str, *notes: str) -> SplitViewError:
        content = f"{message}\n\n{chr(10).join(notes)}".encode()
        evidence = self._folder / f"evidence-{sha256(content).hexdigest()[:16]}.txt"
        write_key_file(evidence, content)
        return SplitViewError(message, evidence)

    def _file(self, origin: str) -> Path:
        return self._folder / f"{sha256(origin.encode()).hexdigest()[:32]}.note"


def _private_key(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        write_key_file(path, Ed25519PrivateKey.generate().private_bytes_raw())
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
