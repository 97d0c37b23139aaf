"""Reviews: whom a decision of a machine concerns may have a human look at it.

A service keeps them in a table of its own (`reviews_table`). About an erased person they name nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import ErrorTable
from rapport_chassis.ids import new_id

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


class ReviewState(StrEnum):
    """Where a review stands."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    SET_ASIDE = "set_aside"


class Review(NamedTuple):
    """A review.

    Attributes:
        review_id: Its id.
        decision_id: The decision.
        profile_id: Whom the decision concerns; empty if the person was erased.
        ground: Why it was asked for, by the contract's number.
        state: Where it stands.
        requested_at: When it was asked for.
        decided_at: When it was answered; None while it is open.
        decided_by: Subject of the operator who answered.
        reason: Why, as a code of the operator's own.
    """

    review_id: str
    decision_id: str
    profile_id: str
    ground: int
    state: ReviewState
    requested_at: datetime
    decided_at: datetime | None = None
    decided_by: str = ""
    reason: str = ""


Place = tuple[datetime, str]
"""Where a page begins: after the review that was asked for then."""


class Reviews:
    """The reviews of a service, in a transaction.

    Args:
        connection: The transaction.
        errors: The service's errors, which name REVIEW_NOT_FOUND and REVIEW_DECIDED.
    """

    def __init__(self, connection: Connection, errors: ErrorTable) -> None:
        self._connection = connection
        self._errors = errors

    async def request(self, decision_id: str, profile_id: str, ground: int, now: datetime) -> Review:
        """Ask a human to look at a decision."""
        review = Review(new_id("review"), decision_id, profile_id, ground, ReviewState.OPEN, now)
        await self._connection.execute(_ADD, (*review[:4], review.state.value, *review[5:]))
        return review

    async def decide(self, review_id: str, *, confirmed: bool, actor: str, reason: str, now: datetime) -> Review:
        """Answer a review: the decision is confirmed, or set aside.

        Raises:
            RapportError: REVIEW_NOT_FOUND, REVIEW_DECIDED.
        """
        row = await (await self._connection.execute(_FIND, [review_id])).fetchone()
        if row is None:
            raise self._errors.error("REVIEW_NOT_FOUND", "there is no such review", field="review_id")
        review = _review(row)
        if review.state is not ReviewState.OPEN:
            raise self._errors.error("REVIEW_DECIDED", "the review is answered", field="review_id")
        state = ReviewState.CONFIRMED if confirmed else ReviewState.SET_ASIDE
        await self._connection.execute(_DECIDE, (state.value, now, actor, reason, review_id))
        return review._replace(state=state, decided_at=now, decided_by=actor, reason=reason)

    async def of(self, decision_id: str) -> list[Review]:
        """Return those of a decision, oldest first."""
        return [_review(row) for row in await (await self._connection.execute(_OF, [decision_id])).fetchall()]

    async def page(self, after: Place | None, limit: int, *, decided: bool) -> list[Review]:
        """Return open reviews, oldest first, and with `decided` the others too."""
        at, review_id = after or (_LONG_AGO, "")
        values = {"decided": decided, "at": at, "id": review_id, "limit": limit}
        return [_review(row) for row in await (await self._connection.execute(_PAGE, values)).fetchall()]


def _review(row: Sequence[Any]) -> Review:
    return Review._make((*row[:4], ReviewState(row[4]), *row[5:]))
