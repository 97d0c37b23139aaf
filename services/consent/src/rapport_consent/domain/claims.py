"""What speaks against a profile: negatives of any of its ids, and what it takes to lift each.

A negative is a claim on the id it names. Recorded while that id was in one profile with others, it becomes a claim on
each of them once they are parted: it counts on both sides. An id first issued by a split takes every claim on the
profile it left. A restriction is claimed, and lifted, as a negative is claimed and granted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rapport_consent.domain.closure import Partition
from rapport_consent.domain.history import is_declared
from rapport_consent.domain.rows import LedgerRow, RowKind


class Claim(NamedTuple):
    """A negative as it counts on one id.

    Attributes:
        row: The negative.
        owner: The id on which it counts.
        after: What lifts it was recorded after this position: 0 for a claim on the id that the row names, else the
            position of the merge through which it came to count here.
    """

    row: LedgerRow
    owner: str
    after: int


def claims_on(owner: str, negatives: Mapping[str, Sequence[LedgerRow]], partition: Partition) -> Iterator[Claim]:
    """Yield the claims on one id, one row perhaps in several ways.

    Args:
        owner: The id.
        negatives: Negatives by the id they name, for every id of the owner's family.
        partition: Who was who.
    """
    for row in negatives.get(owner, ()):
        yield Claim(row, owner, row.carried_after or 0)
    if not partition.ever_parted(owner):
        return
    sources = partition.sources_of(owner)
    for named_id, rows in negatives.items():
        if named_id == owner:
            continue
        together_since = partition.joined_at(named_id, owner)
        for row in rows:
            parted_since = together_since is None or together_since > row.position
            if parted_since and (merge := _shared_by(row, owner, partition)) is not None:
                yield Claim(row, owner, merge)
            if any(row.position < before and _counts(row, left, partition) for left, before in sources.items()):
                yield Claim(row, owner, 0)


def unlifted(claims: Iterable[Claim], affirmatives: Sequence[LedgerRow], partition: Partition) -> list[Claim]:
    """Return the claims that none of the affirmatives, grants or lifts of ids of one closure, lifts."""
    return [c for c in claims if not any(_lifts(affirmative, c, partition) for affirmative in affirmatives)]


def _lifts(affirmative: LedgerRow, claim: Claim, partition: Partition) -> bool:
    """True if it is legally later and was recorded after the merge that joined the two.

    Nothing but a decision by the person lifts an objection; the operator's word is none.
    """
    row, owner, after = claim
    if affirmative.occurred_at <= row.occurred_at or affirmative.position <= after:
        return False
    if row.kind is RowKind.OBJECT and is_declared(affirmative):
        return False
    if affirmative.named_id == owner:
        return True
    joined = partition.joined_at(affirmative.named_id, owner)
    return joined is not None and affirmative.position > joined


def _shared_by(row: LedgerRow, owner: str, partition: Partition) -> int | None:
    """Position of the merge that had joined the two when the row was recorded; None if they were apart then."""
    return None if row.carried_after is not None else partition.joined_at(row.named_id, owner, row.position)


def _counts(row: LedgerRow, profile_id: str, partition: Partition) -> bool:
    """True if a row was a claim on the profile that an id was part of when the row was recorded."""
    return row.named_id == profile_id or _shared_by(row, profile_id, partition) is not None
