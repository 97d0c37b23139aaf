"""Builds blocks: from the messages of a snapshot, or from an earlier block and what has changed since."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray
from rapport.consent.v1 import ledger_pb2

from rapport_privacy import translate
from rapport_privacy.audience import Mask, PackedIds, rows_of
from rapport_privacy.fences import Fences
from rapport_privacy.packed import (
    BUCKETS,
    MOST_PAIRS,
    NEVER_US,
    REFERENCE_BYTES,
    TAIL_BYTES,
    Block,
    Context,
    Details,
    Keys,
    empty_block,
    raw_profile,
    raw_reference,
)
from rapport_privacy.rules import PROVEN
from rapport_privacy.state import Key, KeyState, Subject
from rapport_privacy.vocabulary import EXPLICIT_NEGATIVES, Status

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_S: Final = -62_135_596_800
_LATEST_S: Final = 253_402_300_799
_GRANTED: Final = int(Status.GRANTED)
_ROWS_AT_ONCE: Final = 1 << 16  # bounds what is unpacked to a byte a bit


class _Row(NamedTuple):
    """A decision on its way into the columns."""

    key: Key
    status: int
    evidence: int
    notice_id: str
    notice_version: int
    granting_ids: Sequence[str]
    expires_us: int
    reask_us: int
    decided_us: int
    reference: str


class Packed(NamedTuple):
    """A block, and the subjects it cannot hold, in the order they came in."""

    block: Block
    rest: list[Subject]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Subjects in any order, and their decisions: those of a subject together, in the order of the subjects."""

    ids: PackedIds
    owner: NDArray[np.intp]
    pair: NDArray[np.intp]
    until: NDArray[np.int64]
    decided: NDArray[np.int64]
    references: NDArray[np.uint8]
    context: NDArray[np.uint32]

    def after(self, others: Self) -> "_Columns":
        """Return others, then these."""
        return _Columns(
            PackedIds.joined(others.ids, self.ids),
            np.concatenate((others.owner, self.owner + len(others.ids))),
            np.concatenate((others.pair, self.pair)),
            np.concatenate((others.until, self.until)),
            np.concatenate((others.decided, self.decided)),
            np.concatenate((others.references, self.references)),
            np.concatenate((others.context, self.context)),
        )


class Packer:
    """Takes subjects one by one, then builds a block of them and of what an earlier block holds.

    Not for several threads at once; any one will do.
    """

    def __init__(self, before: Block | None = None) -> None:
        self._before = before or empty_block()
        self._pairs = {pair: index for index, pair in enumerate(self._before.pairs)}
        self._contexts = {context: index for index, context in enumerate(self._before.details.contexts)}
        self._ids = bytearray()
        self._owner = array("I")
        self._pair = array("I")
        self._until = array("q")
        self._decided = array("q")
        self._references = bytearray()
        self._context = array("I")
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    def take(self, subject: Subject) -> bool:
        """Take a subject; false, and nothing done, if a block cannot hold it."""
        if subject.redirect_ids or subject.restriction is not None:
            return False
        return self._take(subject.profile_id, [_row(key, state) for key, state in subject.states.items()])

    def take_message(self, message: ledger_pb2.SubjectState) -> bool:
        """Take the whole state of a subject; false, and nothing done, if a block cannot hold it."""
        if message.redirect_ids or message.restriction.in_force:
            return False
        return self._take(message.profile_id, [_row_of_message(state) for state in message.states])

    def build(self, *, without: Iterable[PackedIds] = ()) -> Packed:
        """Build the block.

        Args:
            without: Ids that the earlier block holds and the new one is not to take over.
        """
        pairs, contexts = list(self._pairs), list(self._contexts)
        columns = self._columns().after(_unpacked(self._before, without))
        used = np.bincount(columns.pair, minlength=len(pairs))
        chosen = np.argsort(-used, kind="stable")[:MOST_PAIRS]
        chosen = chosen[used[chosen] > 0]
        bits = np.full(len(pairs) + 1, -1)  # one more, so that it is never empty
        bits[chosen] = np.arange(len(chosen))
        left_out = _twins(columns.ids)
        left_out[columns.owner[bits[columns.pair] < 0]] = True
        rest = _subjects(columns, left_out, pairs, contexts)
        block = _block(columns, ~left_out, bits, tuple(pairs[index] for index in chosen), contexts)
        return Packed(block, rest)

    def _take(self, profile_id: str, rows: list[_Row]) -> bool:
        raw = raw_profile(profile_id)
        if raw is None or (len(rows) > 1 and len({row.key for row in rows}) < len(rows)):
            return False
        added = len(self._owner)
        for row in rows:
            if not self._take_row(profile_id, row):
                self._truncate(added)
                return False
        self._ids += raw
        self._taken += 1
        return True

    def _take_row(self, profile_id: str, row: _Row) -> bool:
        until, misplaced = row.expires_us, row.reask_us
        if row.status != _GRANTED:
            until, misplaced = misplaced, until
        reference = raw_reference(row.reference)
        grants_itself = len(row.granting_ids) == 1 and row.granting_ids[0] == profile_id
        if misplaced != NEVER_US or reference is None or (row.granting_ids and not grants_itself):
            return False
        context = Context(row.status, row.evidence, row.notice_id, row.notice_version, grants_itself)
        self._owner.append(self._taken)
        self._pair.append(self._pairs.setdefault(row.key, len(self._pairs)))
        self._until.append(until)
        self._decided.append(row.decided_us)
        self._references += reference
        self._context.append(self._contexts.setdefault(context, len(self._contexts)))
        return True

    def _truncate(self, rows: int) -> None:
        for column in (self._owner, self._pair, self._until, self._decided, self._context):
            del column[rows:]
        del self._references[rows * REFERENCE_BYTES :]

    def _columns(self) -> _Columns:
        return _Columns(
            PackedIds.from_raw(self._ids),
            np.frombuffer(self._owner, np.uint32).astype(np.intp),
            np.frombuffer(self._pair, np.uint32).astype(np.intp),
            np.frombuffer(self._until, np.int64),
            np.frombuffer(self._decided, np.int64),
            np.frombuffer(self._references, np.uint8).reshape(-1, REFERENCE_BYTES),
            np.frombuffer(self._context, np.uint32),
        )


def pack_fences(packed: Keys, recent: Iterable[str]) -> Fences:
    """Return the same fences, packed where that is possible."""
    ids = PackedIds.joined(PackedIds.from_keys(packed), PackedIds.of(recent))
    held = ~_twins(ids)
    held[list(ids.foreign)] = False
    return Fences(ids.select(~held), _keys(ids, held)[0])


def _row(key: Key, state: KeyState) -> _Row:
    return _Row(
        key,
        state.status,
        state.evidence,
        state.notice_id,
        state.notice_version,
        state.granting_ids,
        _microseconds(state.expires_at),
        _microseconds(state.reask_not_before),
        _microseconds(state.decided_at),
        state.reference,
    )


def _row_of_message(state: ledger_pb2.KeyState) -> _Row:
    return _Row(
        translate.key_of(state),
        state.status,
        state.evidence,
        state.notice_id,
        state.notice_version,
        state.granting_ids,
        _stamp(state.expires_at) if state.HasField("expires_at") else NEVER_US,
        _stamp(state.reask_not_before) if state.HasField("reask_not_before") else NEVER_US,
        _stamp(state.decided_at) if state.HasField("decided_at") else NEVER_US,
        state.reference,
    )


def _microseconds(moment: datetime | None) -> int:
    return NEVER_US if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


def _stamp(timestamp: Timestamp) -> int:
    if not _EARLIEST_S <= timestamp.seconds <= _LATEST_S:
        raise OverflowError("no date")
    return timestamp.seconds * 1_000_000 + timestamp.nanos // 1000


def _twins(ids: PackedIds) -> Mask:
    """Which ids have the same first 64 bits as another."""
    order = np.argsort(ids.prefixes, kind="stable")
    same = ids.prefixes[order[1:]] == ids.prefixes[order[:-1]]
    twins = np.zeros(len(ids), np.bool_)
    twins[order[1:][same]] = twins[order[:-1][same]] = True
    return twins


def _unpacked(block: Block, without: Iterable[PackedIds]) -> _Columns:
    """The subjects of a block, less some."""
    keep = np.ones(len(block), np.bool_)
    for ids in without:
        rows = rows_of(block.keys, ids)
        keep[rows[rows >= 0]] = False
    details = block.details
    owner, pair = _present(np.frombuffer(block.granted, np.uint64) | np.frombuffer(block.negative, np.uint64))
    kept = keep[owner]
    return _Columns(
        PackedIds.from_keys(block.keys).select(keep),
        (np.cumsum(keep) - 1)[owner[kept]],
        pair[kept],
        np.frombuffer(details.until, np.int64)[kept],
        np.frombuffer(details.decided, np.int64)[kept],
        np.frombuffer(details.references, np.uint8).reshape(-1, REFERENCE_BYTES)[kept],
        np.frombuffer(details.context, np.uint32)[kept],
    )


def _present(words: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and number of each bit that is set, in order."""
    rows, bits = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for start in range(0, len(words), _ROWS_AT_ONCE):
        octets = words[start : start + _ROWS_AT_ONCE].astype("<u8").view(np.uint8).reshape(-1, 8)
        found = np.nonzero(np.unpackbits(octets, axis=1, bitorder="little"))
        rows.append(found[0] + start)
        bits.append(found[1])
    return np.concatenate(rows), np.concatenate(bits)


def _subjects(columns: _Columns, which: Mask, pairs: Sequence[Key], contexts: Sequence[Context]) -> list[Subject]:
    """Some subjects as they were before they were packed, in their order."""
    source = np.flatnonzero(which[columns.owner])
    details = _details(columns, source, contexts)
    subjects = {place: Subject(columns.ids[place]) for place in np.flatnonzero(which).tolist()}
    of_rows = zip(columns.owner[source].tolist(), columns.pair[source].tolist(), strict=True)
    for index, (place, pair) in enumerate(of_rows):
        subject = subjects[place]
        subject.states[pairs[pair]] = details.state(index, subject.profile_id)
    return list(subjects.values())


def _block(
    columns: _Columns, held: Mask, bits: NDArray[np.intp], pairs: tuple[Key, ...], contexts: Sequence[Context]
) -> Block:
    keys, order = _keys(columns.ids, held)
    place = np.full(len(held), -1)
    place[order] = np.arange(len(order))
    source = np.flatnonzero(held[columns.owner])
    in_order = np.argsort(place[columns.owner[source]] * MOST_PAIRS + bits[columns.pair[source]], kind="stable")
    source = source[in_order]
    details = _details(columns, source, contexts)
    granted, negative = _codes(details)
    starts = np.searchsorted(place[columns.owner[source]], np.arange(len(keys) + 1))
    words = np.uint64(1) << bits[columns.pair[source]].astype(np.uint64)
    return Block(
        keys,
        pairs,
        granted=_array("Q", _united(np.where(granted, words, np.uint64(0)), starts)),
        negative=_array("Q", _united(np.where(negative, words, np.uint64(0)), starts)),
        starts=_array("I", starts.astype(np.uint32)),
        details=details,
    )


def _details(columns: _Columns, source: NDArray[np.intp], contexts: Sequence[Context]) -> Details:
    """Some decisions in a given order, with the contexts that they use."""
    used, context = np.unique(columns.context[source], return_inverse=True)
    return Details(
        until=_array("q", columns.until[source]),
        decided=_array("q", columns.decided[source]),
        references=columns.references[source].tobytes(),
        context=_array("I", context.astype(np.uint32)),
        contexts=tuple(contexts[index] for index in used.tolist()),
    )


def _codes(details: Details) -> tuple[Mask, Mask]:
    """The two bits of each decision. What neither bit alone says for certain gets both."""
    proven = [each.status == _GRANTED and each.evidence in PROVEN for each in details.contexts]
    denies = [each.status in EXPLICIT_NEGATIVES for each in details.contexts]
    context = np.frombuffer(details.context, np.uint32)
    lasting = np.frombuffer(details.until, np.int64) == NEVER_US
    return ~np.array(denies, np.bool_)[context], ~(np.array(proven, np.bool_)[context] & lasting)


def _united(words: NDArray[np.uint64], starts: NDArray[np.intp]) -> NDArray[np.uint64]:
    """One word a row: all of its own."""
    united = np.zeros(len(starts) - 1, np.uint64)
    some = np.diff(starts) > 0
    if some.any():
        united[some] = np.bitwise_or.reduceat(words, starts[:-1][some])
    return united


def _keys(ids: PackedIds, held: Mask) -> tuple[Keys, NDArray[np.intp]]:
    """Those ids in order, and which of them each row is."""
    places = np.flatnonzero(held)
    order = places[np.argsort(ids.prefixes[places], kind="stable")]
    buckets = ids.prefixes[order] >> np.uint64(48)
    directory = np.searchsorted(buckets, np.arange(BUCKETS + 1, dtype=np.uint64))
    tails = ids.tails[order].astype(">u8").view(np.uint8).reshape(-1, TAIL_BYTES + 1)[:, :TAIL_BYTES]
    return Keys(_array("I", directory.astype(np.uint32)), _array("Q", ids.heads[order]), tails.tobytes()), order


def _array(kind: str, values: NDArray[Any]) -> "array[int]":
    column = array(kind)
    column.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return column
