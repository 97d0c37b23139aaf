"""Seals records for storage, and opens what was stored: between the clear text and the tables stands nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.ids import new_id

from rapport_identity.adapters.crypto import Hasher, seal
from rapport_identity.adapters.secret_keys import SecretKeys
from rapport_identity.app.ports import DataKey
from rapport_identity.app.stored import KnownRecord, RecordDraft, Term


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record as it is stored: encrypted, and found by hashes only. Made before any lock is taken."""

    record_id: str
    version: int
    key_id: bytes
    value: bytes
    source: str
    source_key: bytes
    digest: bytes
    hash_version: int
    identifiers: tuple[tuple[int, bytes], ...]
    occurred_at: datetime


class HashKeys:
    """The hash keys of this process, for whichever versions the database says are in use.

    Args:
        keys: The folder of hash keys.
    """

    def __init__(self, keys: SecretKeys) -> None:
        self._keys = keys
        self._versions: tuple[int, ...] = ()
        self.last: Hasher | None = None
        """What was asked for last: the versions that were in use then."""

    def hasher(self, versions: Sequence[int]) -> Hasher:
        """Return the hasher for these versions, the first of which is active.

        Raises:
            RapportError: NOT_READY: a key that is in use has not come to this process yet.
        """
        wanted = tuple(versions)
        if self.last is None or wanted != self._versions:
            ring = self._keys.current().keys
            if not ring.keys() >= set(wanted):
                raise CHASSIS_ERRORS.error("NOT_READY", "a hash key in use is not in the folder of this process")
            self._versions = wanted
            self.last = Hasher(wanted[0], {version: ring[version] for version in wanted})
        return self.last


def seal_new(drafts: Sequence[RecordDraft], keys: Sequence[DataKey], hasher: Hasher) -> list[SealedRecord]:
    """Seal records that are not known yet, each under a fresh key that the key store has committed."""
    return [_sealed(draft, new_id("record"), 1, key, hasher) for draft, key in zip(drafts, keys, strict=True)]


def seal_revision(draft: RecordDraft, known: KnownRecord, keys: Mapping[bytes, bytes], hasher: Hasher) -> SealedRecord:
    """Seal the next version of a record, under the key that it has.

    Raises:
        KeyError: Its key is not among those given: it was destroyed.
    """
    return _sealed(draft, known.record_id, known.version + 1, DataKey(known.key_id, keys[known.key_id]), hasher)


def hashed_terms(terms: Iterable[Term], hasher: Hasher) -> tuple[tuple[int, bytes], ...]:
    """Return the hashes of terms under the active version, each once."""
    return tuple({(term.kind, hasher.term(term.kind, term.value)): None for term in terms})


def _sealed(draft: RecordDraft, record_id: str, version: int, key: DataKey, hasher: Hasher) -> SealedRecord:
    return SealedRecord(
        record_id=record_id,
        version=version,
        key_id=key.key_id,
        value=seal(key.secret, record_id, version, draft.payload, draft.reading),
        source=draft.key.source,
        source_key=hasher.source_key(*draft.key),
        digest=hasher.digest(draft.payload),
        hash_version=hasher.active,
        identifiers=hashed_terms(draft.terms, hasher),
        occurred_at=draft.occurred_at,
    )
