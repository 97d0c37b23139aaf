"""Rows of offers, read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from rapport_chassis.database.pool import Connection

from rapport_pricing.app.offer_terms import OfferState, StoredOffer, Treatment

COLUMNS: Final = (
    "offer_id, version, profile_id, state, treatment, promotion_id, promotion_version, decision_id, cause_event_id,"
    " brand_id, market, since_us, until_us, created_us, permission"
)
_FIND: Final = f"SELECT {COLUMNS} FROM offers WHERE offer_id = ANY (%s)"  # noqa: S608 - made of constants
_WINDOW: Final = f"""
SELECT {COLUMNS} FROM offers WHERE position > %s AND position <= %s
"""  # noqa: S608 - made of constants


async def find(connection: Connection, offer_ids: Collection[str]) -> list[StoredOffer]:
    """Return offers by their ids, those that exist."""
    return await rows(connection, _FIND, [list(offer_ids)])


async def changed(connection: Connection, after: int, upto: int) -> list[StoredOffer]:
    """Return the offers that changed after a position, up to another one."""
    return await rows(connection, _WINDOW, (after, upto))


async def rows(connection: Connection, statement: str, values: Any) -> list[StoredOffer]:
    """Return the offers that a statement finds."""
    found = await (await connection.execute(statement.encode(), values)).fetchall()
    return [
        StoredOffer._make((*row[:3], OfferState(row[3]), Treatment(row[4]), *row[5:14], bytes(row[14])))
        for row in found
    ]
