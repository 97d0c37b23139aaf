"""Reviews in PostgreSQL: `Reviews`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rapport_chassis.database.pool import Connection

from rapport_pricing.app.reviews import Place, Review, ReviewState

_COLUMNS: Final = "review_id, decision_id, profile_id, ground, state, requested_at, decided_at, decided_by, reason"
_ADD: Final = f"INSERT INTO reviews ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"  # noqa: S608 - constants
_FIND: Final = f"SELECT {_COLUMNS} FROM reviews WHERE review_id = %s FOR UPDATE"  # noqa: S608 - constants
_DECIDE: Final = """
UPDATE reviews SET state = %s, decided_at = %s, decided_by = %s, reason = %s WHERE review_id = %s
"""
_OF: Final = f"""
SELECT {_COLUMNS} FROM reviews WHERE decision_id = %s ORDER BY requested_at, review_id
"""  # noqa: S608 - constants
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM reviews
WHERE (%(decided)s OR state = 'open') AND (requested_at, review_id) > (%(at)s, %(id)s)
ORDER BY requested_at, review_id LIMIT %(limit)s
"""  # noqa: S608 - constants
_LONG_AGO: Final = "-infinity"


class ReviewStore:
    """`Reviews`.

    Args:
        connection: The transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, review: Review) -> None:
        """Keep a new one."""
        await self._connection.execute(_ADD, review._replace(state=review.state.value))  # type: ignore[arg-type] # as stored

    async def find(self, review_id: str) -> Review | None:
        """Return one, held until the transaction ends."""
        row = await (await self._connection.execute(_FIND, [review_id])).fetchone()
        return None if row is None else _review(row)

    async def decide(self, review: Review) -> None:
        """Keep how one was answered."""
        values = (review.state.value, review.decided_at, review.decided_by, review.reason, review.review_id)
        await self._connection.execute(_DECIDE, values)

    async def of(self, decision_id: str) -> list[Review]:
        """Return those of a decision."""
        return [_review(row) for row in await (await self._connection.execute(_OF, [decision_id])).fetchall()]

    async def page(self, after: Place | None, limit: int, *, decided: bool) -> list[Review]:
        """Return a page of them."""
        at, review_id = after or (_LONG_AGO, "")
        values = {"decided": decided, "at": at, "id": review_id, "limit": limit}
        return [_review(row) for row in await (await self._connection.execute(_PAGE, values)).fetchall()]


def _review(row: Sequence[Any]) -> Review:
    return Review._make((*row[:4], ReviewState(row[4]), *row[5:]))
