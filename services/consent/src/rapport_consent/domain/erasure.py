"""What an erasure must leave behind: negatives of the erased that count on somebody who lives."""

from collections.abc import Collection

from rapport_consent.domain.claims import claims_on
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.history import History
from rapport_consent.domain.rows import NEGATIVES, LedgerRow, RowKind


def carried_over(history: History, erased_ids: Collection[str]) -> list[tuple[str, Draft]]:
    """Return the rows to write before the rows of erased ids are blanked, each with the living id that it is to name.

    A negative recorded while two ids were one profile counts on both sides of a later split. It names one of them; once
    that one is erased and its rows are blanked, the other would be permitted what it never allowed. Written anew under
    the other id, and lifted by no more than it was, it leaves the state of everybody else as it is.

    Args:
        history: Holds the rows of the families of the erased ids.
        erased_ids: Every id of the closure that is erased.
    """
    partition = history.partition
    family = frozenset().union(*map(partition.family_of, erased_ids))
    negatives = {
        erased: [
            row
            for row in (*history.decisions(erased), *history.restrictions(erased))
            if row.kind in NEGATIVES or row.kind is RowKind.RESTRICT
        ]
        for erased in sorted(erased_ids)
    }
    return [
        (owner, _anew(row, after))
        for living in sorted(family.difference(erased_ids))
        if history.fence(living) is None
        for row, owner, after in claims_on(living, negatives, partition)
    ]


def _anew(row: LedgerRow, after: int) -> Draft:
    return Draft(
        row.kind,
        row.occurred_at,
        row.purpose_id,
        row.brand_id,
        reask_not_before=row.reask_not_before,
        purpose_version=row.purpose_version,
        evidence=row.evidence,
        ground=row.ground,
        carried_after=after,
    )
