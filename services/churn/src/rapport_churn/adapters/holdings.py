"""All that is held of people, and how it is taken away: `Holdings`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.failpoints import failpoint
from rapport_chassis.telemetry.metrics import Counter
from rapport_privacy.participant.holding import Subject
from rapport_privacy.participant.living import writable

from rapport_churn.adapters import journal
from rapport_churn.adapters.held_facts import FACTS, secluded, take_out
from rapport_churn.adapters.log import FactLog
from rapport_churn.app.ports import Scope
from rapport_churn.app.states import States
from rapport_churn.app.withdrawals import Somebody
from rapport_churn.translate.events import NOT_PERMITTED, OUT_OF_POPULATION, risk_cleared

SCORES: Final = "scores"
DECISIONS: Final = "decisions"
REVIEWS: Final = "reviews"
"""The stores, as privacy requests name them, beside `FACTS`."""

HELD: Final = "held"
"""Facts that were taken out of the log, and kept."""

_PEOPLE: Final = """
SELECT profile_id, EXISTS (SELECT FROM facts WHERE facts.profile_id = held.profile_id) AND NOT EXISTS (
    SELECT FROM scores WHERE scores.profile_id = held.profile_id AND (body IS NOT NULL OR rescore_at IS NOT NULL)
) FROM (
    (SELECT DISTINCT profile_id FROM facts WHERE profile_id > %(after)s ORDER BY profile_id LIMIT %(limit)s)
    UNION
    (SELECT profile_id FROM scores WHERE profile_id > %(after)s AND body IS NOT NULL
        ORDER BY profile_id LIMIT %(limit)s)
    UNION
    (SELECT DISTINCT profile_id FROM decisions WHERE profile_id > %(after)s AND profile_id <> ''
        ORDER BY profile_id LIMIT %(limit)s)
) AS held ORDER BY profile_id LIMIT %(limit)s
"""
_HAS_SCORE: Final = "EXISTS (SELECT FROM scores WHERE profile_id = id AND body IS NOT NULL)"
_HAS_FACTS: Final = "EXISTS (SELECT FROM facts WHERE profile_id = id)"
_IS_NAMED: Final = """EXISTS (SELECT FROM scores WHERE profile_id = id)
    OR EXISTS (SELECT FROM facts WHERE moved_from && ARRAY[id] AND moved_from <> '{}')
    OR EXISTS (SELECT FROM decisions WHERE profile_id = id AND profile_id <> '')
    OR EXISTS (SELECT FROM reviews WHERE profile_id = id)
"""
_TO_TAKE: Final = {
    Scope.SCORES: _HAS_SCORE,
    Scope.FACTS: f"{_HAS_SCORE} OR {_HAS_FACTS}",
    Scope.ALL: f"{_HAS_FACTS} OR {_IS_NAMED}",
}
_AMONG: Final = {
    scope: f"SELECT id FROM unnest(%s::text[]) AS id WHERE {condition}"  # noqa: S608 - made of constants
    for scope, condition in _TO_TAKE.items()
}
_SCORES: Final = """
SELECT profile_id, risk, risk_version FROM scores
WHERE profile_id = ANY (%s) AND (body IS NOT NULL OR rescore_at IS NOT NULL) ORDER BY profile_id FOR UPDATE
"""
# Versions stay: what is told of a person after a new grant must count as newer than what was told before.
_VOID: Final = """
UPDATE scores SET risk_version = risk_version + (risk > 0)::int, risk = 0, churn = NULL, value = NULL, at_stake = NULL,
    segment = '', tier = '', model_id = '', rescore_at = NULL, body = NULL
WHERE profile_id = ANY (%s)
"""
_FORGET: Final = "DELETE FROM scores WHERE profile_id = ANY (%s)"
_REVIEWS: Final = "UPDATE reviews SET profile_id = '' WHERE profile_id = ANY (%s) AND NOT review_id = ANY (%s)"
_SCORE_NOW: Final = """
INSERT INTO scores (profile_id, version, risk_version, risk, segment, tier, model_id, scored_at, rescore_at)
SELECT id, 0, 0, 0, '', '', '', %(now)s, %(now)s FROM unnest(%(ids)s::text[]) AS id ORDER BY id
ON CONFLICT (profile_id) DO UPDATE SET rescore_at = excluded.rescore_at
"""
_UNLESS_SCORED: Final = " WHERE scores.body IS NULL AND scores.rescore_at IS NULL"
_KNOWN: Final = """
SELECT DISTINCT current_id FROM unnest(%s::text[], %s::text[]) AS named (current_id, id)
WHERE EXISTS (SELECT FROM facts WHERE facts.profile_id = named.id)
"""


class DatabaseHoldings:
    """`Holdings`.

    Args:
        database: Where it is.
        log: The event log.
        states: What this process has in memory.
        waiting: Decisions that are not written yet.
        counter: Counts who was taken out.
        clock: The time.
    """

    def __init__(
        self,
        database: Database,
        log: FactLog,
        states: States,
        waiting: journal.Journal,
        counter: Counter,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._states = states
        self._waiting = waiting
        self._counter = counter.of()
        self._clock = clock

    async def people(self, after: str, limit: int) -> list[Somebody]:
        """Return those of whom anything is held, in order."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_PEOPLE, {"after": after, "limit": limit})
            return [Somebody._make(row) for row in await cursor.fetchall()]

    async def among(self, profile_ids: Collection[str], scope: Scope) -> frozenset[str]:
        """Return those of the ids of whom there is something to take away."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_AMONG[scope].encode(), [list(profile_ids)])
            return frozenset(row[0] for row in await cursor.fetchall())

    async def remove(self, profile_ids: Sequence[str], scope: Scope) -> bool:
        """Take away what is held of a person, but not what a legal hold keeps, in one transaction with what is told."""
        if scope is Scope.ALL:
            self._waiting.forget(profile_ids)
        async with self._database.transaction() as connection:
            subject = await secluded(connection, profile_ids, self._clock.now())
            removed = any((await self.take_away(connection, subject, scope)).values())
            failpoint("churn.removed")
        if scope is not Scope.SCORES:
            self._states.forget(profile_ids)
        if removed:
            self._counter.add()
        return removed

    async def absorbed(self, profile_ids: Collection[str], current_ids: Collection[str]) -> None:
        """Take away the scores of ids that stand for others now, and have those scored anew."""
        async with self._database.transaction() as connection:
            # Before rows are held: an erasure waits for this, or came before it.
            living = await writable(connection, current_ids)
            rows = await (await connection.execute(_SCORES, [list(profile_ids)])).fetchall()
            if rows:
                now = self._clock.now()
                await connection.execute(_VOID, [[row[0] for row in rows]])
                # Whoever reads by id is told that this one is nobody any more.
                cleared = [risk_cleared(row[0], row[2] + 1, OUT_OF_POPULATION, now) for row in rows if row[1]]
                await outbox.append(connection, cleared)
                await connection.execute(_SCORE_NOW, {"ids": list(living), "now": now})

    async def permitted(self, people: Collection[Sequence[str]]) -> None:
        """Have those scored of whom nothing could be said before, but something is known."""
        failpoint("churn.permitted")
        named = [(ids[0], each) for ids in people for each in ids]
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_KNOWN, [list(column) for column in zip(*named, strict=True)])
            living = await writable(connection, {row[0] for row in await cursor.fetchall()})
            if living:
                await connection.execute(_SCORE_NOW + _UNLESS_SCORED, {"ids": list(living), "now": self._clock.now()})

    async def take_away(self, connection: Connection, subject: Subject, scope: Scope) -> Mapping[str, int]:
        """Take away what is held of a person, in a transaction of the caller's; return how many rows of each store.

        Args:
            connection: The transaction; it holds the head of the log from here on.
            subject: Every id that stands for the person, with what legal holds keep. Held facts leave the log, too.
            scope: What is taken away.
        """
        ids, now = subject.ids, self._clock.now()
        await self._log.hold(connection)  # whoever enters facts or scores is done, or has not begun
        scores = await (await connection.execute(_SCORES, [ids])).fetchall()
        counts = {SCORES: len(scores)}
        if scope is not Scope.SCORES:
            counts[FACTS], counts[HELD] = await take_out(connection, ids, subject.held_in(FACTS))
        if scope is Scope.ALL:
            decisions, reviews = subject.held_in(DECISIONS), subject.held_in(REVIEWS)
            await self._log.forget_owners(connection, ids)
            counts[SCORES] = (await connection.execute(_FORGET, [ids])).rowcount
            if not decisions.everything:
                counts[DECISIONS] = await journal.blank(connection, ids, decisions.record_ids)
            if not reviews.everything:
                counts[REVIEWS] = (await connection.execute(_REVIEWS, (ids, list(reviews.record_ids)))).rowcount
        elif scores:
            await connection.execute(_VOID, [ids])
        if any(counts.values()):
            cleared = [risk_cleared(row[0], row[2] + 1, NOT_PERMITTED, now) for row in scores if row[1]]
            await outbox.append(connection, cleared)
            await self._log.note(connection, ids, scope, counts, now)
        return counts

    def forget(self, profile_ids: Sequence[str]) -> None:
        """Drop what this process has in memory of people."""
        self._waiting.forget(profile_ids)
        self._states.forget(profile_ids)
