"""The catalogue as it was known at an earlier position."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from rapport.pricing.v1 import product_pb2
from rapport_chassis.database.pool import Connection

from rapport_pricing.adapters.catalogue import allocations, decided, price_of
from rapport_pricing.app.limits import DatedLaws
from rapport_pricing.app.shelf import News, Shelf
from rapport_pricing.app.stored import Key, Published
from rapport_pricing.translate.products import findings_of, product_of

_PRODUCTS: Final = """
SELECT DISTINCT ON (product_id) body FROM product_versions
WHERE product_id = ANY (%s) AND position <= %s ORDER BY product_id, version DESC
"""
_PRICE: Final = "version, net, gross, currency, since_us, cause, promotion_id, settled"
_PRICES: Final = f"""
SELECT product_id, variant_id, market, {_PRICE}
FROM published_prices WHERE product_id = ANY (%s) AND position <= %s ORDER BY product_id, variant_id, market, version
"""  # noqa: S608 - made of constants
_ONE: Final = f"""
SELECT {_PRICE}, binding, findings FROM published_prices
WHERE (product_id, variant_id, market, version) = (%s, %s, %s, %s)
"""  # noqa: S608 - made of constants
_QUOTES: Final = """
SELECT profile_id, body, inputs, EXISTS (SELECT FROM redemptions WHERE redemptions.quote_id = decisions.quote_id)
FROM decisions WHERE profile_id = ANY (%s) AND body IS NOT NULL AND (%s::timestamptz IS NULL OR issued_at >= %s)
ORDER BY issued_at DESC LIMIT 100000
"""


async def shelf_at(
    connection: Connection, laws: DatedLaws, epoch: str, position: int, product_ids: Collection[str]
) -> Shelf:
    """Return some products, their prices and everything authored, as known at a position."""
    ids = list(product_ids)
    products = await (await connection.execute(_PRODUCTS, (ids, position))).fetchall()
    prices = await (await connection.execute(_PRICES, (ids, position))).fetchall()
    shelf = Shelf(laws)
    shelf.epoch = epoch
    shelf.follow(
        News(
            position,
            [product_of(product_pb2.Product.FromString(bytes(row[0]))) for row in products],
            [(Key(*row[:3]), price_of(row[3:])) for row in prices],
            (),
            await decided(connection, 0, position),
            (),
            await allocations(connection, 0, position),
        )
    )
    return shelf


async def published(connection: Connection, key: Key, version: int) -> Published | None:
    """Return a published price with what each guardrail did; None if there is none."""
    row = await (await connection.execute(_ONE, (*key, version))).fetchone()
    return None if row is None else Published(key, price_of(row[:8]), row[8], findings_of(row[9]))


async def quotes_of(
    connection: Connection, profile_ids: Collection[str], since: datetime | None
) -> list[tuple[str, bytes, str, bool]]:
    """Return quotes of customers, the newest: whose, what they say, made from what, whether redeemed."""
    rows = await (await connection.execute(_QUOTES, (list(profile_ids), since, since))).fetchall()
    return [(row[0], bytes(row[1]), row[2], row[3]) for row in rows]
