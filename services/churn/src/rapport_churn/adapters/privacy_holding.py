"""What churn holds of a person, and what becomes of it when privacy requests ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from rapport_chassis.database.pool import Connection
from rapport_privacy.participant.export import rows
from rapport_privacy.participant.holding import (
    Answer,
    Exported,
    Holding,
    Kept,
    Origin,
    Store,
    StoreCount,
    Subject,
)
from rapport_privacy.participant.living import buried

from rapport_churn.adapters.held_facts import FACTS
from rapport_churn.adapters.holdings import DECISIONS, REVIEWS, SCORES, DatabaseHoldings
from rapport_churn.app.ports import Scope
from rapport_churn.app.times import moment_of
from rapport_churn.translate.holdings import fact_content, score_content

_COUNTS: Final = {
    FACTS: """
        SELECT (SELECT count(*) FROM facts WHERE profile_id = ANY (%(ids)s) OR moved_from && %(ids)s)
            + (SELECT count(*) FROM held_facts WHERE profile_id = ANY (%(ids)s))
    """,
    SCORES: "SELECT count(*) FROM scores WHERE profile_id = ANY (%(ids)s)",
    DECISIONS: "SELECT count(*) FROM decisions WHERE profile_id = ANY (%(ids)s)",
    REVIEWS: "SELECT count(*) FROM reviews WHERE profile_id = ANY (%(ids)s)",
}
_CONTENT: Final = "fact_id, kind, occurred_at, arrived_at, value, quantity, channel"
_FACTS: Final = f"""
SELECT {_CONTENT} FROM facts WHERE profile_id = ANY (%(ids)s)
UNION SELECT {_CONTENT} FROM held_facts WHERE profile_id = ANY (%(ids)s) ORDER BY occurred_at, fact_id
"""  # noqa: S608 - made of constants
_SCORES: Final = "SELECT profile_id, body, risk, scored_at FROM scores WHERE profile_id = ANY (%(ids)s)"
_DECISIONS: Final = """
SELECT decision_id, body, scored_at FROM decisions WHERE profile_id = ANY (%(ids)s) ORDER BY scored_at, decision_id
"""
_REVIEWS: Final = """
SELECT review_id, decision_id, state, requested_at, decided_at, reason FROM reviews WHERE profile_id = ANY (%(ids)s)
"""
# What left as soon as the ledger told of the erasure is part of the answer to the task that comes after; not of a later
# one, which finds the tombstone of the first.
_TAKEN: Final = """
SELECT store, sum(taken::bigint)::bigint FROM removals, jsonb_each_text(counts) AS each (store, taken)
WHERE scope = 'all' AND profile_ids && %(ids)s GROUP BY store
"""


class ChurnHolding(Holding):
    """`Holding` of churn.

    Args:
        holdings: All that is held of people.
        forget: Destroys what trainings that go on have of people.
        purpose_id: The purpose of profiling.
        decisions_kept_for: How long a score can be explained.
    """

    def __init__(
        self,
        holdings: DatabaseHoldings,
        forget: Callable[[Sequence[str]], None],
        purpose_id: str,
        decisions_kept_for: timedelta,
    ) -> None:
        self._holdings = holdings
        self._forget = forget
        purposes = (purpose_id,)
        self._stores = (
            Store(FACTS, "user.behavior", Origin.OBSERVED, purposes, source="TOUCHPOINTS"),
            Store(SCORES, "user.behavior", Origin.INFERRED, purposes),
            Store(DECISIONS, "user.behavior", Origin.INFERRED, purposes, kept_for=decisions_kept_for),
            Store(REVIEWS, "user.behavior", Origin.PROVIDED, purposes),
        )

    @property
    def stores(self) -> tuple[Store, ...]:
        """What churn keeps about people. A model is no record of anybody: see the receipt of an erasure."""
        return self._stores

    async def export(self, connection: Connection, subject: Subject) -> AsyncIterator[Exported]:
        """Yield every fact, the score in force, and every score that was given, with its reasons."""
        values = {"ids": subject.ids}
        async for row in rows(connection, _FACTS, values):
            yield Exported(FACTS, row["fact_id"], fact_content(row), moment_of(row["arrived_at"]))
        async for row in rows(connection, _SCORES, values):
            content: dict[str, Any] = {"risk": row["risk"]}
            if row["body"] is not None:
                content |= score_content(bytes(row["body"]))
            yield Exported(SCORES, row["profile_id"], content, row["scored_at"])
        async for row in rows(connection, _DECISIONS, values):
            yield Exported(DECISIONS, row["decision_id"], score_content(bytes(row["body"])), row["scored_at"])
        async for row in rows(connection, _REVIEWS, values):
            names = ("decision_id", "state", "requested_at", "decided_at", "reason")
            yield Exported(REVIEWS, row["review_id"], {name: row[name] for name in names}, row["requested_at"])

    async def count(self, connection: Connection, subject: Subject) -> Answer:
        """Say what is held."""
        found = [StoreCount(store, await _number(connection, each, subject)) for store, each in _COUNTS.items()]
        return Answer(tuple(found))

    async def erase(self, connection: Connection, subject: Subject) -> Answer:
        """Delete facts and scores, and leave of decisions and reviews that there were some."""
        self._holdings.forget(subject.profile_ids)
        taken = await self._holdings.take_away(connection, subject, Scope.ALL)
        if not await buried(connection, subject.profile_ids):
            cursor = await connection.execute(_TAKEN, {"ids": subject.ids})
            taken = {store: int(count) for store, count in await cursor.fetchall()}
        stores: list[StoreCount] = []
        kept: list[Kept] = []
        for store, question in _COUNTS.items():
            left, gone = await _number(connection, question, subject), taken.get(store, 0)
            stores.append(StoreCount(store, left + gone, gone))
            if left:
                held = subject.held_in(store)
                kept.append(Kept(store, left, held.ground, held.until))
        return Answer(tuple(stores), tuple(kept))

    async def purge(self, subject: Subject) -> None:
        """Destroy what trainings that go on have written down of the person; they begin anew."""
        self._forget(subject.profile_ids)


async def _number(connection: Connection, question: str, subject: Subject) -> int:
    row = await (await connection.execute(question.encode(), {"ids": subject.ids})).fetchone()
    assert row is not None
    return int(row[0])
