"""Which contact points of a person a decision covers.

A yes was given by whoever the profile was known to be then. What came later counts with it only if an identifier of
one person's own ties it to what was there: that its names and addresses are likely the same is no reason to write to
the mailbox that a record brought, until the person has decided again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ContactRecord:
    """A record as far as it matters whether its contact points may be used.

    Attributes:
        number: Its number; earlier records have lower ones.
        recorded_under: The id that its profile had when it was first recorded.
        recorded_at: When this version of it was recorded.
        identifiers: Its identifiers that are one person's own, as columns and normal forms.
    """

    number: int
    recorded_under: str
    recorded_at: datetime
    identifiers: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Ground:
    """What the gate says about the id that contact points were recorded under.

    Attributes:
        permitted: Whether the effect is permitted now.
        decided_at: When the person decided, where that is what permits; None where another legal basis does.
        granting_ids: The ids whose own rows, or a later decision of the survivor, grant; where a decision permits.
    """

    permitted: bool
    decided_at: datetime | None = None
    granting_ids: frozenset[str] = frozenset()


def covered(records: Iterable[ContactRecord], grounds: Mapping[str, Ground]) -> set[int]:
    """Return the numbers of the records whose contact points may be used.

    Args:
        records: All records of one profile.
        grounds: What the gate says, for each id that one of them was recorded under.
    """
    by_id: dict[str, list[ContactRecord]] = {}
    for record in sorted(records, key=lambda each: each.number):
        by_id.setdefault(record.recorded_under, []).append(record)
    found: set[int] = set()
    for issued_id, held in by_id.items():
        ground = grounds[issued_id]
        if not ground.permitted:
            continue
        if ground.decided_at is None:
            found.update(each.number for each in held)
        elif issued_id in ground.granting_ids:
            found.update(_tied(held, ground.decided_at))
    return found


def _tied(records: Sequence[ContactRecord], decided_at: datetime) -> set[int]:
    """The first record, those known when the person decided, and whatever identifiers tie to them, step by step.

    The first one counts whenever it was recorded: decisions of the past are imported beside records of the present.
    """
    rest = {each.number: each for each in records}
    reached = [each for at, each in enumerate(records) if at == 0 or each.recorded_at <= decided_at]
    tied: set[int] = set()
    known: set[tuple[str, str]] = set()
    while reached:
        for each in reached:
            tied.add(each.number)
            known |= each.identifiers
            del rest[each.number]
        reached = [each for each in rest.values() if not known.isdisjoint(each.identifiers)]
    return tied
