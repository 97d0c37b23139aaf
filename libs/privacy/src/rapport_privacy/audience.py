"""Many ids at once, as columns of numbers, and what a block says of all of them."""

from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from rapport_privacy.packed import (
    BUCKETS,
    NEVER_US,
    PROFILE,
    RAW_BYTES,
    Block,
    Keys,
    microseconds,
    profile_id_of,
    raw_of,
)
from rapport_privacy.rules import Question, weigh
from rapport_privacy.state import KeyState
from rapport_privacy.vocabulary import Answer, Status

Mask = NDArray[np.bool_]
Places = NDArray[np.intp]
Words = NDArray[np.uint64]

_RAW: Final = np.dtype([("bucket", ">u2"), ("head", ">u8"), ("tail", ">u8")])
_TAIL_BITS: Final = np.uint64(0xFFFF_FFFF_FFFF_FF00)  # eight bytes from where a tail begins, less the last
_LINE: Final = 27  # an id and the end of its line, which is no letter: so lines are ids
_PREFIX: Final = np.frombuffer(b"prf_", np.uint8)


class PackedIds:
    """Profile ids in columns, to be converted once and asked about often.

    Attributes:
        prefixes: The first 64 bits of each id.
        heads: The 64 bits that `packed.Keys` searches for.
        tails: The last 52 bits, shifted to the left.
        foreign: Ids of another form, by their place; the columns hold zeros there.
    """

    __slots__ = ("foreign", "heads", "prefixes", "tails")

    def __init__(self, prefixes: Words, heads: Words, tails: Words, foreign: Mapping[int, str] | None = None) -> None:
        self.prefixes = prefixes
        self.heads = heads
        self.tails = tails
        self.foreign = foreign or {}

    @classmethod
    def of(cls, profile_ids: Iterable[str]) -> Self:
        """Convert ids, in their order. Some 50 ns each."""
        ids = profile_ids if isinstance(profile_ids, Sequence) else list(profile_ids)
        raw = _all_raw(ids)
        if raw is not None:
            return cls.from_raw(raw)
        each_raw = [raw_of(profile_id, PROFILE) for profile_id in ids]
        foreign = {place: ids[place] for place, one in enumerate(each_raw) if one is None}
        return cls.from_raw(b"".join(one or bytes(RAW_BYTES) for one in each_raw), foreign)

    @classmethod
    def from_raw(cls, raw: bytes | bytearray, foreign: Mapping[int, str] | None = None) -> Self:
        """Take ids in the form of `packed.raw_of`, one after the other."""
        fields = np.frombuffer(raw, _RAW)
        heads = fields["head"].astype(np.uint64)
        prefixes = fields["bucket"].astype(np.uint64) << np.uint64(48) | heads >> np.uint64(16)
        return cls(prefixes, heads, fields["tail"].astype(np.uint64), foreign)

    @classmethod
    def from_keys(cls, keys: Keys) -> Self:
        """Take the ids of a block."""
        tails = _column(keys, 0, ">u8") & _TAIL_BITS
        return cls(_prefixes(keys), np.frombuffer(keys.heads, np.uint64), tails.astype(np.uint64))

    @classmethod
    def joined(cls, *parts: "PackedIds") -> Self:
        """Put ids one after the other."""
        foreign, start = {}, 0
        for part in parts:
            foreign.update({start + place: text for place, text in part.foreign.items()})
            start += len(part)
        return cls(
            np.concatenate([part.prefixes for part in parts]),
            np.concatenate([part.heads for part in parts]),
            np.concatenate([part.tails for part in parts]),
            foreign,
        )

    def __len__(self) -> int:
        return len(self.prefixes)

    def __getitem__(self, place: int) -> str:
        if place in self.foreign:
            return self.foreign[place]
        raw = np.empty(1, _RAW)
        raw["bucket"] = self.prefixes[place] >> np.uint64(48)
        raw["head"], raw["tail"] = self.heads[place], self.tails[place]
        return profile_id_of(raw.tobytes())

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def select(self, which: Mask) -> Self:
        """Return those for which `which` is true, such as `Gate.filter` answers it."""
        new_places = np.cumsum(which) - 1
        foreign = {int(new_places[place]): text for place, text in self.foreign.items() if which[place]}
        return type(self)(self.prefixes[which], self.heads[which], self.tails[which], foreign)

    def among(self, others: "PackedIds") -> Mask:
        """Tell which of these may be among others: never no by mistake, and yes by mistake only for a look-alike."""
        known = np.sort(others.prefixes)
        found = np.zeros(len(self), np.bool_)
        if len(known):
            places = np.minimum(np.searchsorted(known, self.prefixes), len(known) - 1)
            found = known[places] == self.prefixes
        found[list(self.foreign)] = True
        return found


def rows_of(keys: Keys, ids: PackedIds) -> Places:
    """Return the row of each id, or -1."""
    if not len(keys):
        return np.full(len(ids), -1, np.intp)
    prefixes = _prefixes(keys)
    # No two keys have the same first 64 bits, so that no other row can be the right one.
    rows = np.minimum(np.searchsorted(prefixes, ids.prefixes), len(keys) - 1)
    same = prefixes[rows] == ids.prefixes
    same &= np.frombuffer(keys.heads, np.uint64)[rows] == ids.heads
    same &= _column(keys, 0, ">u8")[rows] & _TAIL_BITS == ids.tails
    rows[~same] = -1
    rows[list(ids.foreign)] = -1
    return rows


def permits(block: Block, audience: PackedIds, question: Question, masks: Sequence[int], now: datetime) -> Mask:
    """Tell for each id whether `rules.weigh` permits what the block holds of it; nothing else is looked at.

    Args:
        block: What is known.
        audience: Who is asked about.
        question: What is asked.
        masks: Bits of the block at which the decision in force is looked for, the most special first.
        now: The instant of the effect.
    """
    permitted = np.full(len(audience), weigh(question, None, now)[0] == Answer.PERMIT)
    if question.outcome is None and masks and len(block):
        rows = rows_of(block.keys, audience)
        known = np.flatnonzero(rows >= 0)
        permitted[known] = _permits_rows(block, rows[known], question, masks, now)
    return permitted


def _permits_rows(block: Block, rows: Places, question: Question, masks: Sequence[int], now: datetime) -> Mask:
    granted, negative = _column(block.keys, 7, "<u8")[rows], _column(block.keys, 15, "<u8")[rows]
    permitted = np.full(len(rows), not question.needs_grant)
    undecided = np.ones(len(rows), np.bool_)
    for mask in masks:
        yes, no = granted & np.uint64(mask) != 0, negative & np.uint64(mask) != 0
        decided, unclear = undecided & (yes ^ no), np.flatnonzero(undecided & yes & no)
        permitted[decided] = yes[decided]
        undecided &= ~decided
        if len(unclear):
            below = (granted[unclear] | negative[unclear]) & np.uint64(mask - 1)
            index = np.frombuffer(block.starts, np.uint32)[rows[unclear]] + np.bitwise_count(below)
            answers, neutral = _by_details(block, index, question, now)
            permitted[unclear[~neutral]] = answers[~neutral]
            undecided[unclear] = neutral
    return permitted


def _by_details(block: Block, index: NDArray[Any], question: Question, now: datetime) -> tuple[Mask, Mask]:
    """Whether each decision permits, and which of them count as none."""
    details = block.details
    context = np.frombuffer(details.context, np.uint32)[index]
    known = details.contexts
    carries = [weigh(question, KeyState(each.status, each.evidence), now)[0] == Answer.PERMIT for each in known]
    neutral = np.array([each.status == Status.UNSPECIFIED for each in known])[context]
    permitted = np.array(carries)[context]
    if question.needs_grant:
        until = np.frombuffer(details.until, np.int64)[index]
        permitted &= (until == NEVER_US) | (until > microseconds(now))
    return permitted, neutral


def _column(keys: Keys, offset: int, kind: str) -> NDArray[Any]:
    """Eight bytes of each record."""
    return np.ndarray(len(keys), kind, keys.records, offset, (keys.record_bytes,))


def _prefixes(keys: Keys) -> Words:
    """The first 64 bits of each key, ascending; made anew each time, because keeping them costs 8 bytes a subject."""
    directory = np.frombuffer(keys.directory, np.uint32)
    buckets = np.repeat(np.arange(BUCKETS, dtype=np.uint64) << np.uint64(48), directory[1:] - directory[:-1])
    prefixes: Words = buckets | np.frombuffer(keys.heads, np.uint64) >> np.uint64(16)
    return prefixes


def _all_raw(ids: Sequence[str]) -> bytes | None:
    """All ids in the form of `packed.raw_of`, or None if one of them has another form."""
    try:
        letters = np.frombuffer("\n".join((*ids, "")).encode("ascii"), np.uint8)
    except UnicodeEncodeError:
        return None
    if len(letters) != len(ids) * _LINE:
        return None
    letters = letters.reshape(-1, _LINE)
    if (letters[:, :4] != _PREFIX).any() or (letters[:, -1] != ord("\n")).any():
        return None
    groups = np.full((len(ids), 24), ord("A"), np.uint8)
    groups[:, :22] = letters[:, 4:-1]
    try:
        raw = a2b_base64(groups.tobytes())
    except ValueError:
        return None
    return raw if len(raw) == RAW_BYTES * len(ids) else None  # letters that are none are skipped
