"""Customers in order of what was last told of them."""

from __future__ import annotations

from typing import Final, NamedTuple

from rapport_chassis.database.engine import Database

from rapport_churn.app.ports import Order

_RANKED: Final = """
SELECT {column}::float8, profile_id, risk, body FROM scores
WHERE body IS NOT NULL AND (%(risk)s = 0 OR risk > 0) AND (%(segment)s = '' OR segment = %(segment)s)
    AND ({column} < %(after)s OR ({column} = %(after)s AND profile_id > %(id)s))
ORDER BY {column} DESC, profile_id LIMIT %(limit)s
"""


class Ranked(NamedTuple):
    """A customer in an order.

    Attributes:
        figure: What it is ordered by.
        profile_id: The profile.
        risk: Level, by the contract's number.
        body: The score, as the contract's message.
    """

    figure: float
    profile_id: str
    risk: int
    body: bytes


class Ranks:
    """Reads customers in order.

    Args:
        database: Where scores are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, order: Order, after: tuple[float, str] | None, limit: int, *, at_risk_only: bool, segment: str
    ) -> list[Ranked]:
        """Return customers, the first first.

        Raises:
            RapportError: NOT_READY.
        """
        figure, profile_id = after or (float("inf"), "")
        values = {
            "risk": int(at_risk_only),
            "segment": segment,
            "after": figure,
            "id": profile_id,
            "limit": limit,
        }
        statement = _RANKED.format(column=order.value)
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(statement.encode(), values)).fetchall()
        return [Ranked(row[0], row[1], row[2], bytes(row[3])) for row in rows]
