"""Legal holds: records that no erasure deletes while they stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

OWN: Final = "consent"
"""The participant that the ledger's own service is."""

CONSENTS: Final = "consents"
"""Its store of what people decided."""


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


@dataclass(frozen=True, slots=True)
class Protected:
    """What standing holds keep in one store: all of it, or some records."""

    everything: bool = False
    record_ids: frozenset[str] = frozenset()


def protected(holds: Iterable[Hold], participant: str, store: str) -> Protected:
    """Return what standing holds keep in a store of a participant."""
    everything, record_ids = False, set[str]()
    for hold in holds:
        if not hold.stands:
            continue
        here = [each for each in hold.records if (each.participant, each.store) == (participant, store)]
        everything = everything or not hold.records or any(not each.record_ids for each in here)
        record_ids.update(*(each.record_ids for each in here))
    return Protected(everything, frozenset(record_ids))
