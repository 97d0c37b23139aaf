"""Restores of the ledger from backups, and what is decided about grants that are in doubt since."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Verdict = Literal["count", "ask_again"]
"""They count again, or are withheld for good: people have to be asked again."""


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore.

    Attributes:
        restored_at: When: names it.
        epoch: The epoch that ended with it.
        position: The last position of the backup.
        replayed_at: When all that the stream tells was taken in; None before.
        recorded: Rows that it told of.
        doubted_until: Grants up to this time are in doubt; None: none is.
        decision: What an officer decided about them.
        decided_at: When.
        decided_by: Who.
    """

    restored_at: datetime
    epoch: str
    position: int
    replayed_at: datetime | None
    recorded: int
    doubted_until: datetime | None
    decision: Verdict | None
    decided_at: datetime | None
    decided_by: str | None
