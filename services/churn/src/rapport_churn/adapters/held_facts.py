"""Facts that a legal hold keeps of people who may not be profiled any more.

They leave the log for a table of their own, so that nothing that reads the log (states, features, scores, training) can
use them, whatever is written in time to come; privacy requests alone read it. They stay restricted: a new grant does
not bring them back, as it does not bring back what was deleted. It permits what happens from then on, and that somebody
else was in need of evidence is no consent. Once no live hold keeps them they are deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.failpoints import failpoint
from rapport_privacy.participant import living
from rapport_privacy.participant.holding import Held, Subject
from rapport_privacy.replica import Replica

FACTS: Final = "facts"
"""The store, as privacy requests and legal holds name it."""

_COLUMNS: Final = "fact_id, profile_id, kind, occurred_at, arrived_at, value, quantity, channel"
_IS_HELD: Final = "(%(everything)s OR fact_id = ANY (%(record_ids)s))"
_TAKE_OUT: Final = f"""
WITH taken AS (
    DELETE FROM facts WHERE profile_id = ANY (%(ids)s) RETURNING {_COLUMNS}, {_IS_HELD} AS is_held
), held AS (
    INSERT INTO held_facts ({_COLUMNS}, held_with) SELECT {_COLUMNS}, %(ids)s::text[] FROM taken WHERE is_held
    ON CONFLICT DO NOTHING
), released AS (
    DELETE FROM held_facts WHERE profile_id = ANY (%(ids)s) AND NOT {_IS_HELD} RETURNING 1
)
SELECT count(*) FILTER (WHERE NOT is_held) + (SELECT count(*) FROM released), count(*) FILTER (WHERE is_held) FROM taken
"""  # noqa: S608 - made of constants
# Those of the erased go with the erasure that a release wakes, which answers for them.
_RELEASED: Final = f"""
SELECT DISTINCT held_with FROM held_facts
WHERE NOT EXISTS (SELECT FROM privacy_tombstones AS erased WHERE erased.profile_id = held_facts.profile_id)
AND NOT EXISTS (
    SELECT FROM privacy_held AS hold
    WHERE hold.profile_id = ANY (held_with) AND hold.store IN ('', '{FACTS}') AND (until IS NULL OR until > %s)
    AND (record_ids = '{{}}' OR fact_id = ANY (record_ids))
)
LIMIT 100
"""  # noqa: S608 - made of constants
_DELETE: Final = f"DELETE FROM held_facts WHERE held_with = %(held_with)s AND NOT {_IS_HELD}"  # noqa: S608 - the same
_KEEP: Final = "UPDATE held_facts SET held_with = %s WHERE held_with = %s"


class TakenOut(NamedTuple):
    """How many facts are not in the log any more: deleted, or kept because they are held."""

    deleted: int
    held: int


async def take_out(connection: Connection, profile_ids: Sequence[str], held: Held) -> TakenOut:
    """Take the facts of a person out of the log, and delete all that is not held, what was taken out earlier included.

    Args:
        connection: The transaction; nobody places a hold until it ends (`secluded`).
        profile_ids: Every id that stands for the person.
        held: What legal holds keep, read in this transaction.
    """
    cursor = await connection.execute(_TAKE_OUT, _values(held) | {"ids": list(profile_ids)})
    row = await cursor.fetchone()
    assert row is not None
    return TakenOut._make(row)


class ReleasedFacts:
    """Deletes held facts as soon as no hold keeps them any more: it was released, or has ended by itself.

    Args:
        database: Where they are.
        everybody: Returns every id that stands for the person for whom an id stands: a hold may name any of them.
        replica: Who stands for whom, where it is known.
        clock: The time.
    """

    def __init__(
        self, database: Database, everybody: Callable[[str], Sequence[str]], replica: Replica, clock: Clock
    ) -> None:
        self._database = database
        self._everybody = everybody
        self._replica = replica
        self._clock = clock

    async def step(self) -> bool:
        """Delete what may be deleted of some people; return whether there was anybody.

        Raises:
            RapportError: NOT_READY.
        """
        if not self._replica.warm:
            return False
        async with self._database.looking() as connection:
            people = await (await connection.execute(_RELEASED, [self._clock.now()])).fetchall()
        for (held_with,) in people:
            await self._delete(held_with)
        return bool(people)

    async def _delete(self, held_with: list[str]) -> None:
        ids = sorted({*held_with, *(other for each in held_with for other in self._everybody(each))})
        async with self._database.transaction() as connection:
            subject = await secluded(connection, ids, self._clock.now())
            await connection.execute(_DELETE, _values(subject.held_in(FACTS)) | {"held_with": held_with})
            # Whoever was merged since may be held by another name.
            await connection.execute(_KEEP, (subject.ids, held_with))
            failpoint("churn.released")


async def secluded(connection: Connection, profile_ids: Iterable[str], now: datetime) -> Subject:
    """Return a person with what legal holds keep; until the transaction ends nobody places or releases one."""
    subject = Subject("", tuple(profile_ids))
    await living.seclude(connection, subject)
    return replace(subject, holds=await living.holds(connection, subject, now))


def _values(held: Held) -> dict[str, object]:
    return {"everything": held.everything, "record_ids": list(held.record_ids)}
