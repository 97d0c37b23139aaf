"""What must not come back after an erasure: what happened before it, and the same records sent again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Suppressed:
    """What is remembered of an erased record, or of an identifier it held.

    Attributes:
        erased_at: When its person was erased.
        content: Keyed hash of what the record said, its time apart; empty for an identifier.
    """

    erased_at: datetime
    content: bytes = b""


def is_blocked(
    *, name: Suppressed | None, identifiers: Iterable[Suppressed], occurred_at: datetime | None, content: bytes
) -> bool:
    """Return whether a record, or a touchpoint, is of the time before an erasure.

    - What its source dates after the erasure is what the person did later: a new customer, whom nothing links to the
      erased one; unless it says word for word what an erased record of that name said.
    - What its source does not date came just now; under the name of an erased record it is that record once more.

    Args:
        name: What is remembered under the name that its source gives it.
        identifiers: What is remembered of its identifiers.
        occurred_at: When the source wrote it, or it happened; None where the source does not say.
        content: Keyed hash of what it says, its time apart.
    """
    if name is not None and (occurred_at is None or occurred_at <= name.erased_at or content == name.content):
        return True
    return occurred_at is not None and any(occurred_at <= each.erased_at for each in identifiers)
