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
from rapport_privacy.participant import living

from rapport_pricing.adapters import experiments
from rapport_pricing.app.decisions import Kept, Unkept
from rapport_pricing.telemetry import JOURNAL

_SWEEP_ROWS: Final = 1000

_COLUMNS: Final = "decision_id, quote_id, profile_id, issued_at, epoch, position, body, inputs"
# A redemption that came before the journal was written has kept its decision itself.
_ADD: Final = f"""
INSERT INTO decisions ({_COLUMNS})
SELECT * FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::bigint[], %s::bytea[], %s::text[]
)
ON CONFLICT (decision_id) DO NOTHING RETURNING decision_id
"""  # noqa: S608 - made of constants
_FIND: Final = f"SELECT {_COLUMNS} FROM decisions WHERE decision_id = %s"  # noqa: S608 - made of constants
_SWEEP: Final = f"""
DELETE FROM decisions WHERE decision_id IN (
    SELECT decision_id FROM decisions WHERE issued_at < %s
        AND NOT ({living.STILL.format(profile_id="decisions.profile_id")})
    ORDER BY issued_at LIMIT %s
)
"""  # noqa: S608 - made of constants


class Journal(journal.Journal[Unkept]):
    """Keeps what was answered.

    Args:
        database: Where it is.
        meter: Is told how many decisions wait.
        clock: Paces.
    """

    def __init__(self, database: Database, meter: Meter, clock: Clock) -> None:
        super().__init__(database, meter.gauge(JOURNAL).of(), clock)

    async def write(self, connection: Connection, kept: Sequence[Unkept]) -> None:
        """Keep decisions; one that is kept stays as it is."""
        await write(connection, [each.make() for each in kept])

    async def find(self, decision_id: str) -> Kept | None:
        """Return a decision; None if there is none. One about an erased person has neither profile nor body.

        Raises:
            RapportError: NOT_READY.
        """
        known = self.waiting(decision_id)
        if known is not None:
            return known.make()
        async with self._database.transaction() as connection:
            row = await (await connection.execute(_FIND, [decision_id])).fetchone()
        return None if row is None else Kept._make((*row[:6], bytes(row[6] or b""), row[7] or "", (), ""))


async def write(connection: Connection, kept: Collection[Kept]) -> None:
    """Keep decisions in a transaction, such as that of the effect they have; one that is kept stays as it is.

    Those about erased people are not kept: they may have waited while the person was erased.
    """
    named = {each.profile_id for each in kept} - {""}
    alive = {"", *await living.writable(connection, named)}
    kept = [each for each in kept if each.profile_id in alive]
    if not kept:
        return
    columns = [list(column) for column in zip(*(each[:8] for each in kept), strict=True)]
    added = {row[0] for row in await (await connection.execute(_ADD, columns)).fetchall()}
    await experiments.given(connection, [each for each in kept if each.assigned and each.decision_id in added])


class SweepDecisions:
    """Forgets decisions that are too old to be explained.

    Args:
        kept_for: How long they are kept.
    """

    def __init__(self, kept_for: timedelta) -> None:
        self._kept_for = kept_for

    async def __call__(self, connection: Connection, now: datetime) -> int:
        """Forget some, and return how many."""
        return (await connection.execute(_SWEEP, (now - self._kept_for, _SWEEP_ROWS))).rowcount
