"""The catalogue in PostgreSQL: what is written takes a position under one row, and is read by position."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from rapport.pricing.v1 import product_pb2
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox

from rapport_pricing.adapters import head, offer_rows
from rapport_pricing.adapters.head import Head
from rapport_pricing.app.rules import Decided, Kind, Rulebook, Rules
from rapport_pricing.app.shelf import News
from rapport_pricing.app.stored import Key, Product, Published, Stock
from rapport_pricing.app.times import micros_of
from rapport_pricing.app.trials import Allocation
from rapport_pricing.domain.ledger import Cause, PriceHistory, PriceVersion, PriorPrice
from rapport_pricing.translate.events import price_changed, stock_changed
from rapport_pricing.translate.products import findings_json, findings_of, product_message, product_of
from rapport_pricing.translate.terms import terms_in

_PRICE: Final = "version, net, gross, currency, since_us, cause, promotion_id, settled"
_KEY: Final = "product_id, variant_id, market"
_STOCK: Final = f"{_KEY}, version, quantity, low_at, expected_us, occurred_us"
_PRODUCTS: Final = """
SELECT DISTINCT ON (product_id) body FROM product_versions
WHERE product_id = ANY (%s) ORDER BY product_id, version DESC
"""
_PAGE: Final = """
SELECT DISTINCT ON (product_id) body FROM product_versions
WHERE product_id > %s ORDER BY product_id, version DESC LIMIT %s
"""
_ADD_PRODUCTS: Final = """
INSERT INTO product_versions (product_id, version, position, body)
SELECT product_id, version, %s, body FROM unnest(%s::text[], %s::bigint[], %s::bytea[]) AS t (product_id, version, body)
"""
_HISTORY: Final = f"""
SELECT {_PRICE} FROM published_prices WHERE ({_KEY}) = (%s, %s, %s) ORDER BY version
"""  # noqa: S608 - made of constants
_HISTORY_PAGE: Final = f"""
SELECT {_PRICE}, binding, findings FROM published_prices
WHERE ({_KEY}) = (%s, %s, %s) AND version < %s ORDER BY version DESC LIMIT %s
"""  # noqa: S608 - made of constants
_PUBLISH: Final = f"""
INSERT INTO published_prices ({_KEY}, {_PRICE}, position, binding, findings)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""  # noqa: S608 - made of constants
_STOCK_OF: Final = f"SELECT {_STOCK} FROM stocks WHERE ({_KEY}) = (%s, %s, %s)"  # noqa: S608 - made of constants
_COUNT: Final = f"""
INSERT INTO stocks ({_STOCK}, position) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT ({_KEY}) DO UPDATE SET version = excluded.version, quantity = excluded.quantity, low_at = excluded.low_at,
    expected_us = excluded.expected_us, occurred_us = excluded.occurred_us, position = excluded.position
"""  # noqa: S608 - made of constants
_DECIDE: Final = """
INSERT INTO decided_versions (position, kind, name, version, since_us, retired) VALUES (%s, %s, %s, %s, %s, %s)
"""
_DECIDED: Final = """
SELECT d.position, d.kind, d.name, d.version, d.since_us, v.body
FROM decided_versions AS d LEFT JOIN authored_versions AS v ON (v.kind, v.id, v.version) = (d.kind, d.name, d.version)
WHERE d.position > %s AND d.position <= %s ORDER BY d.position
"""
_WINDOW: Final = "WHERE position > %s AND position <= %s ORDER BY position"
_NEW_PRODUCTS: Final = f"SELECT body FROM product_versions {_WINDOW}, version"  # noqa: S608 - made of constants
_NEW_PRICES: Final = f"SELECT {_KEY}, {_PRICE} FROM published_prices {_WINDOW}"  # noqa: S608 - made of constants
_NEW_STOCKS: Final = f"SELECT {_STOCK} FROM stocks {_WINDOW}"  # noqa: S608 - made of constants
_ALLOCATIONS: Final = f"""
SELECT experiment_id, version, since_us, shares FROM experiment_allocations {_WINDOW}, since_us
"""  # noqa: S608 - made of constants


class CatalogueUnit:
    """`Catalogue`: a transaction that holds the head.

    Args:
        connection: The transaction.
        held: The head.
        rules: What this process knows of what was authored.
    """

    def __init__(self, connection: Connection, held: Head, rules: Rules) -> None:
        self.connection = connection
        self._held = held
        self._rules = rules
        self._position = 0

    @classmethod
    async def begin(cls, connection: Connection, rules: Rules) -> CatalogueUnit:
        """Hold the head: this transaction writes next."""
        return cls(connection, await head.lock(connection), rules)

    @property
    def holdout_salt(self) -> bytes:
        """With it, chance says who is held out."""
        return self._held.holdout_salt

    @property
    def now(self) -> datetime:
        """The same as a time of the calendar."""
        return self._held.recorded_at

    @property
    def now_us(self) -> int:
        """The time of this write, never before that of an earlier one."""
        return micros_of(self._held.recorded_at)

    async def rulebook(self) -> Rulebook:
        """Return what is in force now."""
        return (await self._known()).at(self.now_us)

    async def _known(self) -> Rules:
        missing = await decided(self.connection, self._rules.position, self._held.position)
        if missing:
            self._rules = self._rules.with_more(missing)
        return self._rules

    async def products(self, product_ids: Collection[str]) -> dict[str, Product]:
        """Return the newest versions of products, those that exist."""
        return {each.product_id: each for each in await products(self.connection, product_ids)}

    async def put(self, products: Sequence[Product]) -> None:
        """Add versions of products."""
        columns = (
            [each.product_id for each in products],
            [each.version for each in products],
            [product_message(each).SerializeToString(deterministic=True) for each in products],
        )
        await self.connection.execute(_ADD_PRODUCTS, (await self.place(), *columns))

    async def history(self, key: Key) -> PriceHistory:
        """Return what was published for a listing."""
        rows = await (await self.connection.execute(_HISTORY, key)).fetchall()
        return PriceHistory([price_of(row) for row in rows])

    async def publish(self, published: Published, before: PriceVersion | None, prior: PriorPrice | None) -> None:
        """Add a version of a price and tell of it."""
        price = published.price
        values = (
            *published.key,
            price.version,
            price.net,
            price.gross,
            price.currency,
            price.since_us,
            price.cause.value,
            price.promotion_id,
            price.settled,
            await self.place(),
            published.binding,
            json.dumps(findings_json(published.findings)),
        )
        await self.connection.execute(_PUBLISH, values)
        await outbox.append(self.connection, [price_changed(published, before, prior, self._held.recorded_at)])

    async def stock(self, key: Key) -> Stock | None:
        """Return what is left of a listing."""
        row = await (await self.connection.execute(_STOCK_OF, key)).fetchone()
        return None if row is None else _stock(row)

    async def count(self, stock: Stock) -> None:
        """Replace what is left of a listing and tell of it."""
        await self.connection.execute(_COUNT, (*stock.key, *stock[1:], await self.place()))
        await outbox.append(self.connection, [stock_changed(stock, self._held.recorded_at)])

    async def decide(self, kind: Kind, name: str, version: int, since_us: int) -> None:
        """Note that a version holds from a time on; version 0: that the thing holds no more."""
        values = (await self.place(), kind.value, name, version, since_us, version == 0)
        await self.connection.execute(_DECIDE, values)

    async def place(self) -> int:
        """Return the position of this transaction: one for all that is written in it."""
        if not self._position:
            self._position = await head.advance(self.connection, self._held.recorded_at)
        return self._position


async def products(connection: Connection, product_ids: Collection[str]) -> list[Product]:
    """Return the newest versions of products, those that exist."""
    rows = await (await connection.execute(_PRODUCTS, [list(product_ids)])).fetchall()
    return [_product(row[0]) for row in rows]


async def products_after(connection: Connection, product_id: str, limit: int) -> list[Product]:
    """Return products by id, from the one after `product_id` on."""
    rows = await (await connection.execute(_PAGE, (product_id, limit))).fetchall()
    return [_product(row[0]) for row in rows]


async def history_before(connection: Connection, key: Key, version: int, limit: int) -> list[Published]:
    """Return what was published for a listing, newest first, from the version below `version` on."""
    rows = await (await connection.execute(_HISTORY_PAGE, (*key, version, limit))).fetchall()
    return [Published(key, price_of(row[:8]), row[8], findings_of(row[9])) for row in rows]


async def decided(connection: Connection, after: int, upto: int) -> list[Decided]:
    """Return what was decided after a position, up to another one."""
    rows = await (await connection.execute(_DECIDED, (after, upto))).fetchall()
    return [
        Decided(
            position, Kind(kind), name, since, terms_in(Kind(kind), name, version, bytes(body)) if version else None
        )
        for position, kind, name, version, since, body in rows
    ]


async def news(connection: Connection, after: int, upto: int) -> News:
    """Return what was written after a position, up to another one."""
    window = (after, upto)
    found = await (await connection.execute(_NEW_PRODUCTS, window)).fetchall()
    prices = await (await connection.execute(_NEW_PRICES, window)).fetchall()
    stocks = await (await connection.execute(_NEW_STOCKS, window)).fetchall()
    return News(
        upto,
        [_product(row[0]) for row in found],
        [(Key(*row[:3]), price_of(row[3:])) for row in prices],
        [_stock(row) for row in stocks],
        await decided(connection, after, upto),
        await offer_rows.changed(connection, after, upto),
        await allocations(connection, after, upto),
    )


async def allocations(connection: Connection, after: int, upto: int) -> list[Allocation]:
    """Return how bandits began to give out arms after a position, up to another one."""
    rows = await (await connection.execute(_ALLOCATIONS, (after, upto))).fetchall()
    return [Allocation(*row) for row in rows]


def _product(body: Any) -> Product:
    return product_of(product_pb2.Product.FromString(bytes(body)))


def price_of(row: Sequence[Any]) -> PriceVersion:
    """Return a published price from its columns."""
    version, net, gross, currency, since_us, cause, promotion_id, settled = row
    return PriceVersion(version, net, gross, currency, since_us, Cause(cause), promotion_id, settled)


def _stock(row: Sequence[Any]) -> Stock:
    return Stock(Key(*row[:3]), *row[3:])
