"""Use case: record the erasure of a person and fence every id they ever had, before anything is deleted anywhere."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from rapport_consent.app.ledger import Token
from rapport_consent.app.raise_fence import BlankingUnit, raise_fence


async def erase_in_ledger(
    unit: BlankingUnit, closure_ids: Collection[str], request_id: str, *, now: datetime
) -> Token | None:
    """Fence a closure as identity knows it; None while the ledger still joins it with somebody else who lives.

    The ledger follows merges and splits a moment later than identity. Were a split not known yet, a fence would stand
    around another person, for ever.
    """
    known = await unit.lock(closure_ids)
    partition = known.history.partition
    joined = frozenset().union(*(partition.closure_of(each) for each in closure_ids))
    if any(known.history.fence(each) is None for each in joined.difference(closure_ids)):
        return None
    token = Token(known.epoch, known.position)
    for each in sorted(closure_ids):
        if known.history.fence(each) is None:
            write = await raise_fence(unit, each, request_id, now=now)
            token = write.token
    return token
