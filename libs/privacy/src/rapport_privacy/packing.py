"""Packs subjects one by one: those of a snapshot's messages, or those of a dictionary."""

from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.consent.v1 import ledger_pb2

from rapport_privacy.audience import PackedIds
from rapport_privacy.columns import Columns, twins
from rapport_privacy.packed import (
    MOST_PAIRS,
    NEVER_US,
    PROFILE,
    RAW_BYTES,
    REFERENCE,
    REFERENCE_BYTES,
    Block,
    Context,
    empty_block,
    microseconds,
    raw_of,
)
from rapport_privacy.state import Key, KeyState, Subject
from rapport_privacy.vocabulary import Status

_Fields = tuple[int, int, str, int, bool]  # of a context, as a plain tuple: it is made for each decision
_Row = tuple[Key, int, int, bytes, _Fields]
"""A decision on its way into the columns: key, until, decided, reference, context."""

_EARLIEST_S: Final = -62_135_596_800
_LATEST_S: Final = 253_402_300_799
_GRANTED: Final = int(Status.GRANTED)


class Packed(NamedTuple):
    """A block, and the subjects it cannot hold, in the order they came in."""

    block: Block
    rest: list[Subject]


class Packer:
    """Takes subjects one by one, then builds a block of them and of what an earlier block holds.

    Not for several threads at once; any one will do.
    """

    def __init__(self, before: Block | None = None) -> None:
        self._before = before or empty_block()
        self._pairs = {pair: index for index, pair in enumerate(self._before.pairs)}
        self._contexts: dict[_Fields, int] = {
            context: index for index, context in enumerate(self._before.details.contexts)
        }
        self._ids = bytearray()
        self._owner = array("I")
        self._pair = array("I")
        self._until = array("q")
        self._decided = array("q")
        self._references = bytearray()
        self._context = array("I")
        self._taken = 0

    def take(self, subject: Subject) -> bool:
        """Take a subject; false, and nothing done, if a block cannot hold it."""
        if subject.redirect_ids or subject.restriction is not None:
            return False
        profile_id = subject.profile_id
        return self._take(profile_id, [_row(profile_id, key, state) for key, state in subject.states.items()])

    def take_message(self, message: ledger_pb2.SubjectState) -> bool:
        """Take the whole state of a subject; false, and nothing done, if a block cannot hold it."""
        if message.redirect_ids or (message.HasField("restriction") and message.restriction.in_force):
            return False
        profile_id = message.profile_id
        return self._take(profile_id, [_row_of_message(profile_id, state) for state in message.states])

    def build(self, *, without: Iterable[PackedIds] = ()) -> Packed:
        """Build the block.

        Args:
            without: Ids that the earlier block holds and the new one is not to take over.
        """
        pairs, contexts = list(self._pairs), [Context(*fields) for fields in self._contexts]
        columns = Columns.of_block(self._before, without).followed_by(self._columns())
        used = np.bincount(columns.pair, minlength=len(pairs))
        chosen = np.argsort(-used, kind="stable")[:MOST_PAIRS]
        chosen = chosen[used[chosen] > 0]
        bits = np.full(len(pairs) + 1, -1)  # one more, so that it is never empty
        bits[chosen] = np.arange(len(chosen))
        left_out = twins(columns.ids)
        left_out[columns.owner[bits[columns.pair] < 0]] = True
        rest = columns.subjects(left_out, pairs, contexts)
        return Packed(columns.block(~left_out, bits, tuple(pairs[index] for index in chosen), contexts), rest)

    def _take(self, profile_id: str, rows: list[_Row | None]) -> bool:
        raw = raw_of(profile_id, PROFILE)
        if raw is None or None in rows or (len(rows) > 1 and len({row[0] for row in rows if row}) < len(rows)):
            return False
        pairs, contexts = self._pairs, self._contexts
        for row in rows:
            if row is not None:
                key, until, decided, reference, context = row
                self._owner.append(self._taken)
                self._pair.append(pairs.setdefault(key, len(pairs)))
                self._until.append(until)
                self._decided.append(decided)
                self._references += reference
                self._context.append(contexts.setdefault(context, len(contexts)))
        self._ids += raw
        self._taken += 1
        return True

    def _columns(self) -> Columns:
        return Columns(
            PackedIds.from_raw(self._ids),
            np.frombuffer(self._owner, np.uint32).astype(np.intp),
            np.frombuffer(self._pair, np.uint32).astype(np.intp),
            np.frombuffer(self._until, np.int64),
            np.frombuffer(self._decided, np.int64),
            np.frombuffer(self._references, np.uint8).reshape(-1, RAW_BYTES)[:, :REFERENCE_BYTES],
            np.frombuffer(self._context, np.uint32),
        )


def _row(profile_id: str, key: Key, state: KeyState) -> _Row | None:
    is_grant = state.status == _GRANTED
    until, misplaced = state.expires_at, state.reask_not_before
    if not is_grant:
        until, misplaced = misplaced, until
    reference = raw_of(state.reference, REFERENCE)
    if misplaced is not None or reference is None or state.granting_ids not in ((), (profile_id,)):
        return None
    context = (state.status, state.evidence, state.notice_id, state.notice_version, bool(state.granting_ids))
    return key, microseconds(until), microseconds(state.decided_at), reference, context


def _row_of_message(profile_id: str, state: ledger_pb2.KeyState) -> _Row | None:
    """The same for a message, without taking it apart first: a snapshot holds millions."""
    status, granting_ids = state.status, state.granting_ids
    if state.HasField("reask_not_before" if status == _GRANTED else "expires_at"):
        return None
    reference = raw_of(state.reference, REFERENCE)
    if reference is None or (granting_ids and (granting_ids[0] != profile_id or len(granting_ids) > 1)):
        return None
    until = decided = NEVER_US
    if status == _GRANTED:
        if state.HasField("expires_at"):
            until = _stamp(state.expires_at)
    elif state.HasField("reask_not_before"):
        until = _stamp(state.reask_not_before)
    if state.HasField("decided_at"):
        decided = _stamp(state.decided_at)
    context = (status, state.evidence, state.notice_id, state.notice_version, bool(granting_ids))
    return (state.purpose_id, state.brand_id), until, decided, reference, context


def _stamp(timestamp: Timestamp) -> int:
    seconds = timestamp.seconds
    if not _EARLIEST_S <= seconds <= _LATEST_S:
        raise OverflowError("no date")
    return seconds * 1_000_000 + timestamp.nanos // 1000
