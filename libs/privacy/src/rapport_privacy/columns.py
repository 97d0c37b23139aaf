"""Subjects in columns that are not in order yet, and the block or the keys made of them."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from rapport_privacy.audience import Mask, PackedIds, Places, rows_of
from rapport_privacy.fences import Fences
from rapport_privacy.packed import (
    BUCKETS,
    KEY_RECORD_BYTES,
    MOST_PAIRS,
    NEVER_US,
    REFERENCE_BYTES,
    ROW_RECORD_BYTES,
    Block,
    Context,
    Details,
    Keys,
)
from rapport_privacy.rules import PROVEN
from rapport_privacy.state import Key, KeyState, Subject
from rapport_privacy.vocabulary import EXPLICIT_NEGATIVES, Status

_ROWS_AT_ONCE: Final = 1 << 16  # bounds what is unpacked to a byte a bit
_ROW_RECORD: Final = np.dtype([("tail", np.uint8, 7), ("granted", "<u8"), ("negative", "<u8")])


@dataclass(frozen=True, slots=True)
class Columns:
    """Subjects and their decisions: those of a subject together, in the order of the subjects.

    Attributes:
        ids: The subjects.
        owner: Which of the subjects each decision belongs to.
        pair: Its key, as a number of the caller's.
        until: As in `packed.Details`.
        decided: As in `packed.Details`.
        references: As in `packed.Details`, one a row.
        context: Its context, as a number of the caller's.
    """

    ids: PackedIds
    owner: Places
    pair: Places
    until: NDArray[np.int64]
    decided: NDArray[np.int64]
    references: NDArray[np.uint8]
    context: NDArray[np.uint32]

    @classmethod
    def of_block(cls, block: Block, without: Iterable[PackedIds] = ()) -> Self:
        """Take the subjects of a block, less some; pairs and contexts have the block's numbers."""
        keep = np.ones(len(block), np.bool_)
        for ids in without:
            rows = rows_of(block.keys, ids)
            keep[rows[rows >= 0]] = False
        details = block.details
        records = np.frombuffer(block.keys.records, _ROW_RECORD)
        owner, pair = _bits(records["granted"] | records["negative"])
        kept = keep[owner]
        return cls(
            PackedIds.from_keys(block.keys).select(keep),
            (np.cumsum(keep) - 1)[owner[kept]],
            pair[kept],
            np.frombuffer(details.until, np.int64)[kept],
            np.frombuffer(details.decided, np.int64)[kept],
            np.frombuffer(details.references, np.uint8).reshape(-1, REFERENCE_BYTES)[kept],
            np.frombuffer(details.context, np.uint32)[kept],
        )

    def followed_by(self, others: Self) -> "Columns":
        """Return these, then others."""
        return Columns(
            PackedIds.joined(self.ids, others.ids),
            np.concatenate((self.owner, others.owner + len(self.ids))),
            np.concatenate((self.pair, others.pair)),
            np.concatenate((self.until, others.until)),
            np.concatenate((self.decided, others.decided)),
            np.concatenate((self.references, others.references)),
            np.concatenate((self.context, others.context)),
        )

    def subjects(self, which: Mask, pairs: Sequence[Key], contexts: Sequence[Context]) -> list[Subject]:
        """Return some subjects as they were before they were packed, in their order."""
        source = np.flatnonzero(which[self.owner])
        details = self._details(source, contexts)
        states: dict[int, dict[Key, KeyState]] = {place: {} for place in np.flatnonzero(which).tolist()}
        of_rows = zip(self.owner[source].tolist(), self.pair[source].tolist(), strict=True)
        for index, (place, pair) in enumerate(of_rows):
            states[place][pairs[pair]] = details.state(index, self.ids[place])
        return [Subject(self.ids[place], states=own) for place, own in states.items()]

    def block(self, held: Mask, bits: Places, pairs: tuple[Key, ...], contexts: Sequence[Context]) -> Block:
        """Build a block.

        Args:
            held: Which subjects it is to hold: no twins, and none with a pair that has no bit.
            bits: The bit of each number of a pair, negative for none.
            pairs: The key of each bit.
            contexts: The context of each number.
        """
        order = _in_order(self.ids, held)
        place = np.full(len(held), -1)
        place[order] = np.arange(len(order))
        source = np.flatnonzero(held[self.owner])
        source = source[np.argsort(place[self.owner[source]] * MOST_PAIRS + bits[self.pair[source]], kind="stable")]
        details = self._details(source, contexts)
        granted, negative = _codes(details)
        starts = np.searchsorted(place[self.owner[source]], np.arange(len(order) + 1))
        words = np.uint64(1) << bits[self.pair[source]].astype(np.uint64)
        records = np.zeros(len(order), _ROW_RECORD)
        records["tail"] = _tails(self.ids, order)
        records["granted"] = _united(np.where(granted, words, np.uint64(0)), starts)
        records["negative"] = _united(np.where(negative, words, np.uint64(0)), starts)
        keys = _keys(self.ids, order, records.tobytes(), ROW_RECORD_BYTES)
        return Block(keys, pairs, _array("I", starts.astype(np.uint32)), details)

    def _details(self, source: Places, contexts: Sequence[Context]) -> Details:
        """Some decisions in a given order, with the contexts that they use."""
        used, context = np.unique(self.context[source], return_inverse=True)
        return Details(
            until=_array("q", self.until[source]),
            decided=_array("q", self.decided[source]),
            references=self.references[source].tobytes(),
            context=_array("I", context.astype(np.uint32)),
            contexts=tuple(contexts[index] for index in used.tolist()),
        )


def pack_fences(packed: Keys, recent: Iterable[str]) -> Fences:
    """Return the same fences, packed where that is possible."""
    ids = PackedIds.joined(PackedIds.from_keys(packed), PackedIds.of(recent))
    held = ~twins(ids)
    held[list(ids.foreign)] = False
    order = _in_order(ids, held)
    records = np.zeros((len(order), KEY_RECORD_BYTES), np.uint8)
    records[:, :7] = _tails(ids, order)
    return Fences(ids.select(~held), _keys(ids, order, records.tobytes(), KEY_RECORD_BYTES))


def twins(ids: PackedIds) -> Mask:
    """Tell which ids have the same first 64 bits as another."""
    order = np.argsort(ids.prefixes, kind="stable")
    same = ids.prefixes[order[1:]] == ids.prefixes[order[:-1]]
    found = np.zeros(len(ids), np.bool_)
    found[order[1:][same]] = found[order[:-1][same]] = True
    return found


def _in_order(ids: PackedIds, held: Mask) -> Places:
    places = np.flatnonzero(held)
    return places[np.argsort(ids.prefixes[places], kind="stable")]


def _keys(ids: PackedIds, order: Places, records: bytes, record_bytes: int) -> Keys:
    buckets = ids.prefixes[order] >> np.uint64(48)
    directory = np.searchsorted(buckets, np.arange(BUCKETS + 1, dtype=np.uint64))
    return Keys(_array("I", directory.astype(np.uint32)), _array("Q", ids.heads[order]), records, record_bytes)


def _tails(ids: PackedIds, order: Places) -> NDArray[np.uint8]:
    return ids.tails[order].astype(">u8").view(np.uint8).reshape(-1, 8)[:, :7]


def _bits(words: NDArray[np.uint64]) -> tuple[Places, Places]:
    """Row and number of each bit that is set, in order."""
    rows, bits = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for start in range(0, len(words), _ROWS_AT_ONCE):
        octets = words[start : start + _ROWS_AT_ONCE].astype("<u8").view(np.uint8).reshape(-1, 8)
        found = np.nonzero(np.unpackbits(octets, axis=1, bitorder="little"))
        rows.append(found[0] + start)
        bits.append(found[1])
    return np.concatenate(rows), np.concatenate(bits)


def _codes(details: Details) -> tuple[Mask, Mask]:
    """The two bits of each decision. What neither bit alone says for certain gets both."""
    proven = [each.status == Status.GRANTED and each.evidence in PROVEN for each in details.contexts]
    denies = [each.status in EXPLICIT_NEGATIVES for each in details.contexts]
    context = np.frombuffer(details.context, np.uint32)
    lasting = np.frombuffer(details.until, np.int64) == NEVER_US
    return ~np.array(denies, np.bool_)[context], ~(np.array(proven, np.bool_)[context] & lasting)


def _united(words: NDArray[np.uint64], starts: Places) -> NDArray[np.uint64]:
    """One word a row: all of its own."""
    united = np.zeros(len(starts) - 1, np.uint64)
    some = np.diff(starts) > 0
    if some.any():
        united[some] = np.bitwise_or.reduceat(words, starts[:-1][some])
    return united


def _array(kind: str, values: NDArray[Any]) -> "array[int]":
    column = array(kind)
    column.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return column
