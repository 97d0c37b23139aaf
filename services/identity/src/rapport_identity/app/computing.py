"""Long computations over all records, apart from what is served: what goes in, and what comes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from rapport_identity.app.partition import Partition
from rapport_identity.app.reviews import Label
from rapport_identity.domain.bonds import Bond
from rapport_identity.domain.folding import Column
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import RecordKey


class Phase(StrEnum):
    """What long work is doing."""

    READING = "reading"
    TRAINING = "training"
    CHECKING = "checking"
    JOINING = "joining"


Report = Callable[[Phase, int, int], Awaitable[None]]
"""Is told the phase, the records done in it, and how many there are in all."""


class Row(NamedTuple):
    """A record: its number, what its source calls it, and what was folded of it."""

    number: int
    key: RecordKey
    values: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All records at one position, and who they are.

    Attributes:
        rows: The records, by number.
        owners: The profile of each.
        bonds: The constraints in force.
        matcher_id: The matcher that decides.
    """

    rows: Sequence[Row]
    owners: Mapping[int, str]
    bonds: Mapping[str, Bond]
    matcher_id: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Who is who by a matcher: the records of each person, by number, and how many components were cut."""

    persons: Sequence[Sequence[int]]
    cuts: int


class Computing(Protocol):
    """Computes apart from what is served, at low priority, and leaves nothing behind."""

    async def join(self, matcher_id: str, snapshot: Snapshot, report: Report) -> Joined:
        """Join all records by a matcher, without effect.

        Raises:
            RapportError: NOT_READY, INTERNAL.
        """
        ...

    async def train(self, rows: Sequence[Row], labels: Sequence[Label], seed: int, report: Report) -> Matcher:
        """Train a matcher on records.

        Raises:
            RapportError: NOT_TRAINABLE, TRAINING_UNAVAILABLE, INTERNAL.
        """
        ...


async def snapshot_of(partition: Partition) -> Snapshot:
    """Return what the partition holds, as of this call or later.

    Raises:
        RapportError: NOT_READY.
    """
    await partition.refresh()
    async with partition.still() as replica:
        rows = [Row(entry.number, entry.key, entry.values) for entry in replica.index]
        rows.sort(key=lambda row: row.number)
        return Snapshot(rows, dict(replica.owners), dict(replica.bonds.items()), replica.matcher_id)
