"""The journal of decisions: what was answered, written in groups within 100 ms, so that it can be explained later."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis import journal
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.telemetry.metrics import Meter
from rapport_privacy.participant.living import STILL, writable

from rapport_churn.app.scores import Kept
from rapport_churn.telemetry import JOURNAL

_SWEEP_ROWS: Final = 1000

_COLUMNS: Final = "decision_id, profile_id, scored_at, body, features"
_ADD: Final = f"""
INSERT INTO decisions ({_COLUMNS})
SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::bytea[], %s::bytea[])
ON CONFLICT (decision_id) DO NOTHING
"""  # noqa: S608 - made of constants
_FIND: Final = f"SELECT {_COLUMNS} FROM decisions WHERE decision_id = %s"  # noqa: S608 - made of constants
_BLANK: Final = """
UPDATE decisions SET profile_id = '', body = NULL, features = NULL
WHERE profile_id = ANY (%s) AND NOT decision_id = ANY (%s)
"""
_SWEEP: Final = f"""
DELETE FROM decisions WHERE decision_id IN (
    SELECT decision_id FROM decisions WHERE scored_at < %s AND NOT ({STILL.format(profile_id="decisions.profile_id")})
    ORDER BY scored_at LIMIT %s
)
"""  # noqa: S608 - made of constants


class Journal(journal.Journal[Kept]):
    """Keeps what was answered.

    Args:
        database: Where it is.
        meter: Is told how many decisions wait.
        clock: Paces.
    """

    def __init__(self, database: Database, meter: Meter, clock: Clock) -> None:
        super().__init__(database, meter.gauge(JOURNAL).of(), clock)

    async def write(self, connection: Connection, kept: Sequence[Kept]) -> None:
        """Keep decisions; one that is kept stays as it is, and one about a person erased meanwhile is not kept."""
        living = await writable(connection, {each.profile_id for each in kept})
        await write(connection, [each for each in kept if each.profile_id in living])

    async def find(self, decision_id: str) -> Kept | None:
        """Return a decision; None if there is none. One about an erased person has neither profile nor body.

        Raises:
            RapportError: NOT_READY.
        """
        known = self.waiting(decision_id)
        if known is not None:
            return known
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_FIND, [decision_id])).fetchone()
        return None if row is None else Kept(row[0], row[1], row[2], bytes(row[3] or b""), bytes(row[4] or b""))


async def write(connection: Connection, kept: Collection[Kept]) -> None:
    """Keep decisions in a transaction, such as that of the effect they have; one that is kept stays as it is."""
    if kept:
        await connection.execute(_ADD, [list(column) for column in zip(*kept, strict=True)])


async def blank(connection: Connection, profile_ids: Collection[str], kept: Collection[str] = ()) -> int:
    """Forget what was decided about people: only that there were decisions stays known; return of how many.

    Args:
        connection: The transaction.
        profile_ids: Whom it is about.
        kept: Decisions that a legal hold keeps.
    """
    return (await connection.execute(_BLANK, (list(profile_ids), list(kept)))).rowcount


class SweepDecisions:
    """Forgets decisions that are too old to be explained, but none of whom a request or a legal hold keeps.

    Args:
        kept_for: How long they are kept.
    """

    def __init__(self, kept_for: timedelta) -> None:
        self._kept_for = kept_for

    async def __call__(self, connection: Connection, now: datetime) -> int:
        """Forget some, and return how many."""
        return (await connection.execute(_SWEEP, (now - self._kept_for, _SWEEP_ROWS))).rowcount
