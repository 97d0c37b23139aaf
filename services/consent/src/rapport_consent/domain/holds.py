"""Legal holds: records that no erasure deletes while they stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class HeldRecords:
    """What a hold keeps in one store; without ids, everything of the person in it."""

    participant: str
    store: str
    record_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """A legal hold.

    Attributes:
        id: The hold.
        task_request_id: The request id under which participants are told of it.
        profile_id: Whose records it is on.
        records: Which; empty for all.
        matter_id: The matter it is for.
        ground: Why, as a code.
        review_at: When it is to be looked at again.
        placed_at: When it was placed.
        placed_by: By whom.
        released_at: When it was released; None while it stands.
        released_by: By whom.
    """

    id: str
    task_request_id: str
    profile_id: str
    records: tuple[HeldRecords, ...]
    matter_id: str
    ground: str
    review_at: datetime
    placed_at: datetime
    placed_by: str
    released_at: datetime | None = None
    released_by: str = ""

    @property
    def stands(self) -> bool:
        """Whether it still holds."""
        return self.released_at is None
