"""Redemptions and outcomes in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from rapport_chassis.database.pool import Connection

from rapport_pricing.app.decisions import Redeemed

_FIND: Final = "SELECT order_id, profile_id, body FROM redemptions WHERE quote_id = %s"
_ADD: Final = """
INSERT INTO redemptions (quote_id, order_id, profile_id, decision_id, fact_id, body, redeemed_at)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (quote_id) DO NOTHING RETURNING 1
"""
_REPORT: Final = """
WITH added AS (INSERT INTO outcomes (
    outcome_id, exposure_id, product_id, variant_id, market, price_version, kind, quantity, quote_id, occurred_us,
    recorded_at
)
SELECT *, %s FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::smallint[], %s::bigint[],
    %s::text[], %s::bigint[]
)
ON CONFLICT (outcome_id) DO NOTHING RETURNING outcome_id)
INSERT INTO waiting_outcomes SELECT outcome_id FROM added
"""
_TELL: Final = "UPDATE redemptions SET named_id = %s, told = %s WHERE quote_id = %s"
_MOVE: Final = """
UPDATE redemptions SET profile_id = %s, owner_version = owner_version + 1
WHERE named_id = ANY (%s) AND profile_id NOT IN ('', %s) AND told IS NOT NULL RETURNING told, owner_version
"""
_BOUGHT: Final = """
SELECT quote_id, product_id, variant_id, market, price_version FROM outcomes
WHERE outcome_id = ANY (SELECT '@' || quote_id || '/' || place FROM unnest(%s::text[]) AS quote_id,
    generate_series(0, 99) AS place)
"""


async def find(connection: Connection, quote_id: str) -> Redeemed | None:
    """Return the redemption of a quote; None if it was not used."""
    row = await (await connection.execute(_FIND, [quote_id])).fetchone()
    return None if row is None else Redeemed(row[0], row[1], bytes(row[2]))


async def add(connection: Connection, values: Sequence[Any]) -> bool:
    """Keep a redemption; False if the quote was used before. Two that come together wait for one another."""
    return await (await connection.execute(_ADD, list(values))).fetchone() is not None


async def report(connection: Connection, outcomes: Sequence[Sequence[Any]], now: datetime) -> int:
    """Keep outcomes and return how many were new."""
    columns = [list(column) for column in zip(*outcomes, strict=True)]
    return (await connection.execute(_REPORT, [now, *columns])).rowcount


async def note(connection: Connection, quote_id: str, named_id: str, told: bytes) -> None:
    """Keep under which id a redemption was asked for, and the event that tells of it."""
    await connection.execute(_TELL, (named_id, told, quote_id))


async def move(connection: Connection, profile_id: str, ids: Sequence[str]) -> list[tuple[bytes, int]]:
    """Give redemptions asked for under some ids to the profile that they stand for; return what told of each."""
    rows = await (await connection.execute(_MOVE, (profile_id, list(ids), profile_id))).fetchall()
    return [(bytes(row[0]), row[1]) for row in rows]


async def bought(connection: Connection, quote_ids: Sequence[str]) -> list[tuple[str, str, str, str, int]]:
    """Return what was bought at published prices by quotes: quote, product, variant, market, price version."""
    rows = await (await connection.execute(_BOUGHT, [list(quote_ids)])).fetchall()
    return [tuple(row) for row in rows]
