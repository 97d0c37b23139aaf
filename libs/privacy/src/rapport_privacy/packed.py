"""Subjects in columns: 31 bytes for what is in force for a person on up to 64 keys, beside a side table of details.

A block is read here and built by `packing`. It never changes: a reader may keep what it found.
"""

import struct
from array import array
from binascii import a2b_base64, b2a_base64
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from struct import Struct
from typing import Final, NamedTuple

from rapport_privacy.state import Key, KeyState, Subject
from rapport_privacy.vocabulary import Status

PackedKey = tuple[int, int, bytes]
"""An id taken apart: 16 bits that choose a bucket, 64 bits to search for in it, 52 bits to compare."""

PROFILE: Final = "prf_"
REFERENCE: Final = "cev_"
BUCKETS: Final = 1 << 16
MOST_PAIRS: Final = 64
RAW_BYTES: Final = 18
REFERENCE_BYTES: Final = 17
KEY_RECORD_BYTES: Final = 8
"""The tail of an id and nothing."""
ROW_RECORD_BYTES: Final = 23
"""The tail of an id and its two words of bits: together, because a look at all costs the memory one line."""
NEVER_US: Final = -(1 << 63)
"""Stands for the absence of a time."""

_LETTERS: Final = 22
_LENGTH: Final = 26
_PADDING: Final = "AA"  # 22 letters are 132 bits; two more make whole groups of four
_TAIL_BYTES: Final = 7
_RAW: Final = Struct(">HQ7sx")
_unpack: Final = _RAW.unpack
_unpack_row: Final = Struct("<7sQQ").unpack_from
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def key_of(profile_id: str) -> PackedKey | None:
    """Take an id apart without loss; None for an id of another form, which is kept as a string."""
    if len(profile_id) != _LENGTH or profile_id[:4] != PROFILE:
        return None
    try:
        return _unpack(a2b_base64(profile_id[4:] + _PADDING))
    except (ValueError, struct.error):  # letters that are none, or fewer bytes because they were skipped
        return None


def profile_id_of(raw: bytes) -> str:
    """Put an id together again from its 18 bytes."""
    return PROFILE + _letters(raw)


def raw_of(text: str, prefix: str) -> bytes | None:
    """The letters of an id as 18 bytes, of which the last is zero; None for another form."""
    if len(text) != _LENGTH or text[:4] != prefix:
        return None
    try:
        raw = a2b_base64(text[4:] + _PADDING)
    except ValueError:
        return None
    return raw if len(raw) == RAW_BYTES else None


def moment(microseconds: int) -> datetime | None:
    """The time that a column holds."""
    return None if microseconds == NEVER_US else _EPOCH + timedelta(microseconds=microseconds)


def microseconds(moment: datetime | None) -> int:
    """How a column holds a time."""
    return NEVER_US if moment is None else (moment - _EPOCH) // _MICROSECOND


class Keys:
    """Ids in order, found by bisection in a bucket. No two have the same first 64 bits.

    Attributes:
        directory: Where each bucket begins, and the end of the last.
        heads: The 64 bits after a bucket's 16, ascending in each bucket.
        records: For each id the last 52 bits, in 7 bytes, and what belongs to it.
        record_bytes: Bytes of a record.
    """

    __slots__ = ("directory", "heads", "record_bytes", "records")

    def __init__(self, directory: "array[int]", heads: "array[int]", records: bytes, record_bytes: int) -> None:
        self.directory = directory
        self.heads = heads
        self.records = records
        self.record_bytes = record_bytes

    def __len__(self) -> int:
        return len(self.heads)

    def __iter__(self) -> Iterator[str]:
        return map(self.profile_id, range(len(self)))

    def find(self, key: PackedKey) -> int:
        """Return the row of an id, or -1."""
        bucket, head, tail = key
        end = self.directory[bucket + 1]
        row = bisect_left(self.heads, head, self.directory[bucket], end)
        return row if row < end and self.heads[row] == head and self._tail(row) == tail else -1

    def profile_id(self, row: int) -> str:
        """Return the id of a row."""
        bucket = bisect_right(self.directory, row) - 1
        return profile_id_of(_RAW.pack(bucket, self.heads[row], self._tail(row)))

    @property
    def size_bytes(self) -> int:
        """Bytes of its columns."""
        return 4 * len(self.directory) + 8 * len(self.heads) + len(self.records)

    def _tail(self, row: int) -> bytes:
        return self.records[row * self.record_bytes : row * self.record_bytes + _TAIL_BYTES]


class Context(NamedTuple):
    """What decisions of many people have in common."""

    status: int
    evidence: int
    notice_id: str
    notice_version: int
    grants_itself: bool
    """True if the profile's own id is the one that grants, false if none does."""


@dataclass(frozen=True, slots=True)
class Details:
    """The side table: a row for each decision in force, those of a subject together and in the order of its pairs.

    Attributes:
        until: When a grant expires, or before when nobody is to ask again; microseconds, `NEVER_US` for none.
        decided: When the decision was made; microseconds, `NEVER_US` for unknown.
        references: Ledger event ids, 17 bytes each.
        context: Where in `contexts` the rest stands.
        contexts: Distinct contexts.
    """

    until: "array[int]"
    decided: "array[int]"
    references: bytes
    context: "array[int]"
    contexts: tuple[Context, ...]

    def state(self, index: int, profile_id: str) -> KeyState:
        """Return a decision as it was before it was packed."""
        context = self.contexts[self.context[index]]
        until = moment(self.until[index])
        granted = context.status == Status.GRANTED
        reference = self.references[index * REFERENCE_BYTES : (index + 1) * REFERENCE_BYTES]
        return KeyState(
            status=context.status,
            evidence=context.evidence,
            expires_at=until if granted else None,
            decided_at=moment(self.decided[index]),
            reference=REFERENCE + _letters(reference + b"\0"),
            notice_id=context.notice_id,
            notice_version=context.notice_version,
            granting_ids=(profile_id,) if context.grants_itself else (),
            reask_not_before=None if granted else until,
        )


class Block:
    """Subjects that nothing sets apart: no redirect, no restriction, no pair beyond the 64 of the block.

    Two bits a pair say what a check needs most often. Granted alone: a grant that is proven and does not expire.
    Negative alone: one of the explicit negatives. Both: the details decide. Neither: nothing is known.

    Attributes:
        keys: The ids, one a row; their records also hold the two words of bits.
        pairs: The key of each bit, the most used first.
        bits: The bit of each key.
        starts: Where the details of each row begin, and the end of the last.
        details: The side table.
    """

    __slots__ = ("bits", "details", "keys", "pairs", "starts")

    def __init__(self, keys: Keys, pairs: tuple[Key, ...], starts: "array[int]", details: Details) -> None:
        self.keys = keys
        self.pairs = pairs
        self.bits: Mapping[Key, int] = {pair: bit for bit, pair in enumerate(pairs)}
        self.starts = starts
        self.details = details

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, key: PackedKey) -> tuple[int, int, int] | None:
        """Return the row of an id and its two words, granted and negative; None if it is not here."""
        bucket, head, tail = key
        keys = self.keys
        end = keys.directory[bucket + 1]
        row = bisect_left(keys.heads, head, keys.directory[bucket], end)
        if row < end and keys.heads[row] == head:
            there, granted, negative = _unpack_row(keys.records, row * ROW_RECORD_BYTES)
            if there == tail:
                return row, granted, negative
        return None

    def detail(self, row: int, mask: int) -> int:
        """Return where in the details the decision of a pair stands, which must be there."""
        return self.starts[row] + (self._present(row) & (mask - 1)).bit_count()

    def state(self, row: int, mask: int) -> KeyState:
        """Return the decision of a pair, which must be there."""
        return self.details.state(self.detail(row, mask), self.keys.profile_id(row))

    def subject(self, profile_id: str) -> Subject | None:
        """Return a subject as it was before it was packed; None if it is not here."""
        key = key_of(profile_id)
        row = -1 if key is None else self.keys.find(key)
        if row < 0:
            return None
        present, index = self._present(row), self.starts[row]
        states = {}
        while present:
            states[self.pairs[(present & -present).bit_length() - 1]] = self.details.state(index, profile_id)
            present &= present - 1
            index += 1
        return Subject(profile_id, states=states)

    @property
    def side_bytes(self) -> int:
        """Bytes of the side table; the rest is in the keys."""
        return 4 * len(self.starts) + (8 + 8 + REFERENCE_BYTES + 4) * len(self.details.until)

    def _present(self, row: int) -> int:
        """The pairs for which there is a decision."""
        _, granted, negative = _unpack_row(self.keys.records, row * ROW_RECORD_BYTES)
        return int(granted | negative)


@cache
def no_keys() -> Keys:
    """Return the keys of nobody."""
    return Keys(array("I", bytes(4 * (BUCKETS + 1))), array("Q"), b"", KEY_RECORD_BYTES)


@cache
def empty_block() -> Block:
    """Return the block of nobody."""
    keys = Keys(no_keys().directory, array("Q"), b"", ROW_RECORD_BYTES)
    return Block(keys, (), array("I", [0]), Details(array("q"), array("q"), b"", array("I"), ()))


def _letters(raw: bytes) -> str:
    return b2a_base64(raw, newline=False)[:_LETTERS].decode("ascii")
