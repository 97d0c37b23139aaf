"""Uses of promotions with caps: held when quoted, committed when redeemed, counted no more once they ran out.

The row of a promotion's tally is locked before anything is counted, so that steps of several processes come one after
the other. Rows are locked in the order of their names: two baskets never wait for one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import RapportError
from rapport_chassis.failpoints import failpoint

from rapport_pricing.adapters import journal, living
from rapport_pricing.app.decisions import Kept
from rapport_pricing.app.holding import Held
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.promotions import Caps
from rapport_pricing.domain.reservations import Reservation, Tally, commit, release, reserve

_COUNTS: Final = "reserved_uses, reserved_amount, committed_uses, committed_amount"
_BEGIN: Final = "INSERT INTO tallies (promotion_id) VALUES (%s) ON CONFLICT DO NOTHING"
_LOCK: Final = f"SELECT {_COUNTS} FROM tallies WHERE promotion_id = %s FOR UPDATE"  # noqa: S608 - made of constants
_LAPSE: Final = """
UPDATE reservations SET state = 'released'
WHERE promotion_id = %s AND state = 'held' AND until_us <= %s RETURNING quote_id, amount, until_us
"""
_OF_CUSTOMER: Final = """
SELECT count(*) FROM reservations WHERE promotion_id = %s AND profile_id = ANY (%s) AND state <> 'released'
"""
_HOLD: Final = """
INSERT INTO reservations (promotion_id, quote_id, profile_id, amount, until_us, state)
VALUES (%s, %s, %s, %s, %s, 'held')
"""
_FIND: Final = """
SELECT amount, until_us, state FROM reservations WHERE promotion_id = %s AND quote_id = %s FOR UPDATE
"""
_COMMIT: Final = """
UPDATE reservations SET state = 'committed', amount = %s WHERE promotion_id = %s AND quote_id = %s
"""
_RELEASE: Final = "UPDATE reservations SET state = 'released' WHERE promotion_id = %s AND quote_id = %s"
_NONE_LEFT: Final = frozenset(("BUDGET_EXHAUSTED", "CUSTOMER_CAP_REACHED"))
_KEEP: Final = f"UPDATE tallies SET ({_COUNTS}) = (%s, %s, %s, %s) WHERE promotion_id = %s"  # noqa: S608 - constants


class Reservations:
    """Holds uses, each set of them in one transaction with the decision it belongs to.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hold(self, uses: Sequence[Held], kept: Kept, customer_ids: Sequence[str], now_us: int) -> set[str]:
        """Hold all uses and keep the decision, or nothing.

        Args:
            uses: Of one quote.
            kept: Its decision.
            customer_ids: Every id that stands for the customer; empty for nobody in particular.
            now_us: When.

        Returns:
            The promotion of which no use was left; empty if all are held.

        Raises:
            RapportError: NOT_READY.
        """
        try:
            async with self._database.transaction() as connection:
                await living.alive(connection, kept.profile_id)
                for use in sorted(uses, key=lambda use: use.promotion_id):
                    await _try(connection, use, kept.profile_id, customer_ids, now_us)
                failpoint("pricing.quote.held")
                await journal.write(connection, [kept])
        except _NoneLeftError as none:
            return {none.promotion_id}
        return set()


class _NoneLeftError(Exception):
    def __init__(self, promotion_id: str) -> None:
        super().__init__(promotion_id)
        self.promotion_id = promotion_id


async def _try(connection: Connection, use: Held, profile_id: str, customer_ids: Sequence[str], now_us: int) -> None:
    try:
        await hold_use(connection, use, profile_id, customer_ids, now_us)
    except RapportError as error:
        if error.reason.name not in _NONE_LEFT:
            raise
        raise _NoneLeftError(use.promotion_id) from error


async def hold_use(
    connection: Connection, use: Held, profile_id: str, customer_ids: Sequence[str], now_us: int
) -> None:
    """Hold one use.

    Raises:
        RapportError: BUDGET_EXHAUSTED, CUSTOMER_CAP_REACHED.
    """
    await connection.execute(_BEGIN, [use.promotion_id])
    tally = await _current(connection, use.promotion_id, now_us)
    mine = 0
    if use.caps.uses_each is not None:
        row = await (await connection.execute(_OF_CUSTOMER, (use.promotion_id, list(customer_ids)))).fetchone()
        mine = row[0] if row is not None else 0
    tally = reserve(tally, use.caps, use.amount, uses_of_customer=mine)
    await connection.execute(_HOLD, (use.promotion_id, use.quote_id, profile_id, use.amount, use.until_us))
    await _keep(connection, use.promotion_id, tally)


async def lapse_uses(connection: Connection, promotion_id: str, now_us: int) -> None:
    """Give back what quotes held of a promotion until now."""
    await _current(connection, promotion_id, now_us)


async def release_use(connection: Connection, promotion_id: str, quote_id: str, now_us: int) -> None:
    """Give back what is held, if anything still is."""
    tally = await _current(connection, promotion_id, now_us)
    row = await (await connection.execute(_FIND, (promotion_id, quote_id))).fetchone()
    if row is None or row[2] != "held":
        return
    await connection.execute(_RELEASE, (promotion_id, quote_id))
    await _keep(connection, promotion_id, release(tally, Reservation(promotion_id, quote_id, row[0], row[1])))


async def commit_use(
    connection: Connection, promotion_id: str, quote_id: str, caps: Caps, paid: int, now_us: int
) -> None:
    """Commit what a quote holds of a promotion.

    Raises:
        RapportError: RESERVATION_LAPSED, BUDGET_EXHAUSTED.
    """
    tally = await _current(connection, promotion_id, now_us)
    row = await (await connection.execute(_FIND, (promotion_id, quote_id))).fetchone()
    if row is None or row[2] != "held":
        raise ERRORS.error("RESERVATION_LAPSED", "the quote holds no use of a promotion any more")
    amount, until_us, _ = row
    tally = commit(tally, Reservation(promotion_id, quote_id, amount, until_us), paid=paid, at_us=now_us)
    await connection.execute(_COMMIT, (paid, promotion_id, quote_id))
    await _keep(connection, promotion_id, tally)


async def _current(connection: Connection, promotion_id: str, now_us: int) -> Tally:
    """Lock a tally and return it without what ran out."""
    row = await (await connection.execute(_LOCK, [promotion_id])).fetchone()
    tally = Tally(*row) if row is not None else Tally()
    lapsed = await (await connection.execute(_LAPSE, (promotion_id, now_us))).fetchall()
    for quote_id, amount, until_us in lapsed:
        tally = release(tally, Reservation(promotion_id, quote_id, amount, until_us))
    if lapsed:
        await _keep(connection, promotion_id, tally)
    return tally


async def _keep(connection: Connection, promotion_id: str, tally: Tally) -> None:
    values = tally.reserved_uses, tally.reserved_amount, tally.committed_uses, tally.committed_amount
    await connection.execute(_KEEP, (*values, promotion_id))
