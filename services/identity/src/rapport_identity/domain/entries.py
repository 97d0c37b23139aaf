"""A record as the hot index holds it, and the blocking keys by which it meets others."""

from dataclasses import dataclass
from typing import Final

from rapport_identity.domain.folding import Column, fold_record
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.weighing import Prepared

COLUMNS: Final = tuple(fold_record(Record(RecordKey("", ""))))
"""The columns, in the order in which entries keep their values."""


@dataclass(slots=True, eq=False)
class Block:
    """The holders of a blocking key; it brings them together while they are not more than its cap."""

    key: str
    cap: int
    members: list["Entry"]

    @property
    def open(self) -> bool:
        """Whether it brings its holders together."""
        return len(self.members) <= self.cap


@dataclass(slots=True, eq=False)
class Entry:
    """A record in the index.

    Attributes:
        number: Its number.
        key: What its source calls it.
        values: All that was folded of it.
        prepared: What the matcher sees of it, without what it shares with many; None until somebody asks.
        blocks: The keys it holds.
        edges: Who it may be one person with, and the bits; None until somebody asks.
    """

    number: int
    key: RecordKey
    values: tuple[Column, ...]
    prepared: Prepared | None = None
    blocks: tuple[Block, ...] = ()
    edges: "dict[Entry, float] | None" = None

    @property
    def columns(self) -> dict[str, Column]:
        """All that was folded of it, by column."""
        return dict(zip(COLUMNS, self.values, strict=True))
