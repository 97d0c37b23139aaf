"""The event log in PostgreSQL: facts and removals, each at a position taken under one row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from opentelemetry.trace import get_current_span
from psycopg.types.json import Jsonb
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.telemetry.propagation import traceparent

from rapport_churn.adapters import head
from rapport_churn.adapters.head import Head
from rapport_churn.app.ports import Entered, History, Removal, Scope, Stretch
from rapport_churn.domain.facts import Fact, FactKind

_FACT: Final = "fact_id, profile_id, owner_version, kind, occurred_at, arrived_at, value, quantity, channel"
# The head is held, so that what is read here is what every earlier writer left. A fact that is issued again keeps the
# time at which it first arrived: the other issue is no news of what happened.
_APPEND: Final = f"""
WITH incoming AS (
    SELECT * FROM unnest(
        %s::text[], %s::text[], %s::bigint[], %s::smallint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::smallint[]
    ) WITH ORDINALITY AS incoming ({_FACT}, place)
), wanted AS (
    SELECT incoming.*, row_number() OVER (ORDER BY place) AS nth,
        CASE WHEN held.fact_id IS NULL THEN ARRAY[]::text[]
            ELSE array_append(array_remove(held.moved_from, held.profile_id), held.profile_id) END AS moved_from
    FROM incoming LEFT JOIN facts AS held USING (fact_id)
    WHERE held.fact_id IS NULL OR held.owner_version < incoming.owner_version
), written AS (
    INSERT INTO facts ({_FACT}, moved_from, position, traceparent)
    SELECT {_FACT}, moved_from, (SELECT position FROM log_head) + nth, %s FROM wanted
    ON CONFLICT (fact_id) DO UPDATE SET profile_id = excluded.profile_id, owner_version = excluded.owner_version,
        moved_from = excluded.moved_from, position = excluded.position, traceparent = excluded.traceparent
    RETURNING 1
)
UPDATE log_head SET position = position + (SELECT count(*) FROM written) RETURNING position
"""  # noqa: S608 - made of constants
_OF: Final = f"""
SELECT {_FACT} FROM facts WHERE profile_id = ANY (%s) ORDER BY occurred_at, fact_id
"""  # noqa: S608 - made of constants
_FACTS_AFTER: Final = f"""
SELECT position, moved_from, {_FACT} FROM facts WHERE position > %s AND position <= %s ORDER BY position LIMIT %s
"""  # noqa: S608 - made of constants
_REMOVALS_AFTER: Final = """
SELECT position, profile_ids, scope FROM removals WHERE position > %s AND position <= %s ORDER BY position LIMIT %s
"""
_FORGET_OWNERS: Final = "UPDATE facts SET moved_from = '{}' WHERE moved_from && %s AND moved_from <> '{}'"
_KNOWN: Final = "SELECT fact_id FROM facts WHERE fact_id = ANY (%s)"
_NOTE: Final = """
WITH moved AS (UPDATE log_head SET position = position + 1 RETURNING position)
INSERT INTO removals (position, profile_ids, scope, removed_at, counts) SELECT position, %s, %s, %s, %s FROM moved
"""
_WHO: Final = "SELECT DISTINCT profile_id FROM facts WHERE profile_id > %s ORDER BY profile_id LIMIT %s"


class FactLog:
    """`Log`.

    Args:
        database: Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, profile_ids: Collection[str]) -> History:
        """Return all facts of some ids, as of one moment of the log."""
        async with self._database.transaction() as connection:
            # Before the facts: what comes in between is read again by whoever follows from here on, and counts once.
            at = await head.read(connection)
            rows = await (await connection.execute(_OF, [list(profile_ids)])).fetchall()
        return History(at.epoch, at.position, [_fact(row) for row in rows])

    async def head(self) -> Head:
        """Return the log's present life, and its last position."""
        async with self._database.transaction() as connection:
            return await head.read(connection)

    async def after(self, epoch: str, position: int, limit: int) -> Stretch:
        """Return what follows a position; of another epoch nothing but where it ends."""
        async with self._database.transaction() as connection:
            at = await head.read(connection)
            if at.epoch != epoch or at.position <= position:
                return Stretch(at.epoch, at.position, (), ())
            window = (position, at.position, limit)
            facts = await (await connection.execute(_FACTS_AFTER, window)).fetchall()
            removals = await (await connection.execute(_REMOVALS_AFTER, window)).fetchall()
        # Where one kind was cut short, nothing is said of what lies beyond the cut.
        upto = min([rows[-1][0] for rows in (facts, removals) if len(rows) == limit], default=at.position)
        return Stretch(
            at.epoch,
            upto,
            [Entered(row[0], _fact(row[2:]), tuple(row[1])) for row in facts if row[0] <= upto],
            [Removal(row[0], tuple(row[1]), Scope(row[2])) for row in removals if row[0] <= upto],
        )

    async def people(self, after: str, limit: int) -> list[str]:
        """Return ids that facts name, in order, from the one after `after` on."""
        async with self._database.transaction() as connection:
            return [row[0] for row in await (await connection.execute(_WHO, (after, limit))).fetchall()]

    @staticmethod
    async def hold(connection: Connection) -> Head:
        """Hold the head: this transaction writes next, and sees all that was written."""
        return await head.lock(connection)

    @staticmethod
    async def known(connection: Connection, fact_ids: Collection[str]) -> set[str]:
        """Return those facts of which an issue is in the log."""
        return {row[0] for row in await (await connection.execute(_KNOWN, [list(fact_ids)])).fetchall()}

    @staticmethod
    async def append(connection: Connection, held: Head, facts: Iterable[Fact]) -> int:
        """Enter facts into the log, and return of how many something was new.

        A fact that is known changes nothing, unless it comes with a higher owner version: then it moves. The trace of
        the current span goes with them, if it is recorded.

        Args:
            connection: In a transaction that holds the head, so that it sees all that was written.
            held: The head.
            facts: The facts.
        """
        newest: dict[str, Fact] = {}
        for fact in facts:
            known = newest.get(fact.fact_id)
            if known is None or known.owner_version < fact.owner_version:
                newest[fact.fact_id] = fact
        if not newest:
            return 0
        rows = [each._replace(kind=int(each.kind)) for each in newest.values()]  # type: ignore[arg-type] # as stored
        columns = [list(column) for column in zip(*rows, strict=True)]
        row = await (await connection.execute(_APPEND, [*columns, _traceparent()])).fetchone()
        assert row is not None
        new: int = row[0] - held.position
        return new

    @staticmethod
    async def forget_owners(connection: Connection, profile_ids: Sequence[str]) -> None:
        """Forget that facts of others were theirs by earlier issues."""
        await connection.execute(_FORGET_OWNERS, [list(profile_ids)])

    @staticmethod
    async def note(
        connection: Connection, profile_ids: Sequence[str], scope: Scope, counts: Mapping[str, int], at: datetime
    ) -> None:
        """Note at a position that something was taken away, and how many rows of each store."""
        await connection.execute(_NOTE, (list(profile_ids), scope.value, at, Jsonb(dict(counts))))


def _traceparent() -> str | None:
    context = get_current_span().get_span_context()
    return traceparent(context) if context.trace_flags.sampled else None


def _fact(row: Sequence[Any]) -> Fact:
    return Fact(row[0], row[1], row[2], FactKind(row[3]), *row[4:])
