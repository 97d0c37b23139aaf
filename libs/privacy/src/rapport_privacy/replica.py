"""The replica of the consent ledger: its contents up to a position, and what is known beyond it."""

from enum import Enum
from typing import Final

from rapport.consent.v1 import ledger_pb2

from rapport_privacy.contents import Contents
from rapport_privacy.early import EarlyNegatives, is_early_negative
from rapport_privacy.fences import Fences
from rapport_privacy.snapshot import SnapshotLoad

MOST_ASIDE = 100_000
"""Changes kept until the gap below them is filled; further ones are left to the filling of the gap."""

_FEWEST_TO_MERGE: Final = 10_000
_PACKED_FOR_EACH_TO_MERGE: Final = 50  # so that a merge, which copies all, is paid for by what it packs


class Applied(Enum):
    """What became of a change."""

    FOLDED = "folded"
    KEPT = "kept"
    KNOWN = "known"
    FOREIGN = "foreign"
    LEFT_OUT = "left out"


class Replica:
    """Follows one epoch of the ledger. All of it belongs to one thread, the event loop's.

    A change may come late, twice, too early or not at all: the contents are always exactly what the ledger held at
    `position`, early negatives lie over them, and a fence holds from the moment it is heard of, for ever.

    Attributes:
        warm: True once a snapshot is loaded; nothing else is meaningful before, except fences.
        epoch: Epoch followed; empty while not warm.
        position: Every change up to here is applied.
        highest: Highest position heard of.
        generation: Rises with each load and each loss of the contents.
        contents: Subjects and purposes at `position`.
        early: Negatives beyond `position`.
        fences: Ids of erased people. Never shrinks, not even with a new epoch.
    """

    def __init__(self, *, most_aside: int = MOST_ASIDE) -> None:
        self.warm = False
        self.epoch = ""
        self.position = 0
        self.highest = 0
        self.generation = 0
        self.contents = Contents()
        self.early = EarlyNegatives()
        self.fences = Fences()
        self._most_aside = most_aside
        self._aside: dict[int, ledger_pb2.LedgerChange] = {}
        self._before_load: dict[tuple[str, int], ledger_pb2.LedgerChange] = {}

    def apply(self, change: ledger_pb2.LedgerChange) -> Applied:
        """Apply a change or keep it, whatever the order it comes in."""
        self.fences.update(fence.profile_id for fence in change.fences)
        if not self.warm:
            return self._keep_for_load(change)
        if change.epoch != self.epoch:
            return Applied.FOREIGN
        if change.position <= self.position or change.position in self._aside:
            return Applied.KNOWN
        self.heard_of(change.position)
        if change.position == self.position + 1:
            self._fold(change)
            return Applied.FOLDED
        return self._keep_aside(change)

    def heard_of(self, position: int) -> None:
        """Take note that the ledger has come at least this far."""
        self.highest = max(self.highest, position)

    def load(self, snapshot: SnapshotLoad) -> None:
        """Take over a complete snapshot at once, then what arrived while it was on its way.

        Raises:
            SnapshotIncompleteError: Its trailer is missing; nothing has changed then.
        """
        snapshot.complete()
        self._start(snapshot.epoch, snapshot.position, snapshot.contents)
        self.warm = True
        before, self.fences = self.fences, Fences(snapshot.fences.recent, snapshot.fences.packed)
        self.fences.update(before)
        before_load, self._before_load = self._before_load, {}
        for change in before_load.values():
            self.apply(change)

    def chill(self) -> None:
        """Give up the contents: the ledger has another epoch. Fences stay."""
        self._start("", 0, Contents())
        self.warm = False

    @property
    def lag_positions(self) -> int:
        """How many positions the ledger is known to be ahead."""
        return self.highest - self.position

    @property
    def merge_due(self) -> bool:
        """True if so much has changed since the last merge that another one is worth its cost."""
        contents, fences = self.contents, self.fences
        return _is_worth_it(contents.unpacked, len(contents.block)) or _is_worth_it(fences.unpacked, len(fences.packed))

    def _start(self, epoch: str, position: int, contents: Contents) -> None:
        self.epoch = epoch
        self.position = self.highest = position
        self.contents = contents
        self.generation += 1
        self._aside.clear()
        self.early.clear()

    def _fold(self, change: ledger_pb2.LedgerChange) -> None:
        following: ledger_pb2.LedgerChange | None = change
        while following is not None:
            self.contents.fold(following)
            self.position = following.position
            self.early.passed(self.position)
            following = self._aside.pop(self.position + 1, None)

    def _keep_aside(self, change: ledger_pb2.LedgerChange) -> Applied:
        if len(self._aside) >= self._most_aside:
            return Applied.LEFT_OUT
        self._aside[change.position] = change
        if is_early_negative(change):
            self.early.add(change)
        return Applied.KEPT

    def _keep_for_load(self, change: ledger_pb2.LedgerChange) -> Applied:
        if len(self._before_load) >= self._most_aside:
            return Applied.LEFT_OUT
        self._before_load[change.epoch, change.position] = change
        return Applied.KEPT


def _is_worth_it(unpacked: int, packed: int) -> bool:
    return unpacked > max(_FEWEST_TO_MERGE, packed // _PACKED_FOR_EACH_TO_MERGE)
