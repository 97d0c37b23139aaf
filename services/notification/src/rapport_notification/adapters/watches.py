"""What people watch, whether it could be bought when last heard of, and messages to all who watch it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from psycopg.types.json import Jsonb
from rapport_chassis.database.pool import Connection

from rapport_notification.app.traces import traced
from rapport_notification.domain.occurrences import Product

MOST: Final = 500
"""Most that one person watches: the oldest are forgotten."""

_WATCH: Final = """
INSERT INTO watches (profile_id, product_id, variant_id, market, since_us) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (profile_id, product_id, variant_id, market) DO UPDATE SET since_us = watches.since_us
RETURNING since_us
"""
_FORGET: Final = """
DELETE FROM watches WHERE ctid IN (
    SELECT ctid FROM watches WHERE profile_id = %s ORDER BY since_us DESC, product_id OFFSET %s
)
"""
_UNWATCH: Final = "DELETE FROM watches WHERE profile_id = ANY(%s) AND (%s = '' OR product_id = %s)"
_OF: Final = """
SELECT profile_id, product_id, variant_id, market, since_us FROM watches
WHERE profile_id = ANY(%s) ORDER BY since_us DESC, product_id LIMIT %s
"""
_WATCHERS: Final = """
SELECT DISTINCT profile_id FROM watches
WHERE product_id = %s AND market = %s AND variant_id IN ('', %s) AND profile_id > %s AND since_us <= %s
ORDER BY profile_id LIMIT %s
"""
_SEEN: Final = """
SELECT version, available FROM stocks_seen WHERE product_id = %s AND variant_id = %s AND market = %s FOR UPDATE
"""
_SEE: Final = """
INSERT INTO stocks_seen (product_id, variant_id, market, version, available) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (product_id, variant_id, market) DO UPDATE SET version = excluded.version, available = excluded.available
    WHERE stocks_seen.version < excluded.version
"""
_BEGIN: Final = """
INSERT INTO fanouts (fanout_id, trigger_id, version, body, after_id, traceparent) VALUES (%s, %s, %s, %s, '', %s)
ON CONFLICT DO NOTHING
"""
_NEXT: Final = """
SELECT fanout_id, trigger_id, version, body, after_id, traceparent FROM fanouts
ORDER BY fanout_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""


class Watched(NamedTuple):
    """What somebody watches, and since when."""

    profile_id: str
    product: Product
    since_us: int


class Fanout(NamedTuple):
    """Messages to everybody who watches something, up to where they are taken on."""

    fanout_id: str
    trigger_id: str
    version: int
    body: dict[str, Any]
    after_id: str
    traceparent: str | None


class Watches:
    """What people watch, in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def watch(self, profile_id: str, product: Product, now_us: int) -> int:
        """Begin to watch, or go on; return since when."""
        values = (profile_id, product.product_id, product.variant_id, product.market, now_us)
        row = await (await self._connection.execute(_WATCH, values)).fetchone()
        assert row is not None
        await self._connection.execute(_FORGET, (profile_id, MOST))
        return int(row[0])

    async def unwatch(self, profile_ids: Sequence[str], product_id: str) -> int:
        """Watch a product no more, or nothing at all where none is named; return how many watches that were."""
        cursor = await self._connection.execute(_UNWATCH, (list(profile_ids), product_id, product_id))
        return cursor.rowcount

    async def of(self, profile_ids: Sequence[str]) -> list[Watched]:
        """Return what somebody watches, the newest first."""
        cursor = await self._connection.execute(_OF, (list(profile_ids), MOST))
        return [
            Watched(who, Product(product, variant, market), since)
            for who, product, variant, market, since in await cursor.fetchall()
        ]

    async def watchers(self, product: Product, at_us: int, after_id: str, limit: int) -> list[str]:
        """Return who watched a product at a time, by id and after one."""
        values = (product.product_id, product.market, product.variant_id, after_id, at_us, limit)
        cursor = await self._connection.execute(_WATCHERS, values)
        return [who for (who,) in await cursor.fetchall()]

    async def see(self, product: Product, version: int, *, available: bool) -> bool | None:
        """Note whether a product can be bought, and return whether it could before.

        None if that is not known, or if this is told late: something newer is known then.
        """
        key = (product.product_id, product.variant_id, product.market)
        row = await (await self._connection.execute(_SEEN, key)).fetchone()
        if row is not None and row[0] >= version:
            return None
        await self._connection.execute(_SEE, (*key, version, available))
        return bool(row[1]) if row is not None else None

    async def begin(self, fanout_id: str, trigger_id: str, version: int, body: dict[str, Any]) -> None:
        """Begin to write to all who watch something; done once, however often it is begun."""
        await self._connection.execute(_BEGIN, (fanout_id, trigger_id, version, Jsonb(body), traced()))

    async def next_fanout(self) -> Fanout | None:
        """Hold messages that are not all taken on yet; None if there are none that nobody else holds."""
        row = await (await self._connection.execute(_NEXT)).fetchone()
        return Fanout(*row) if row is not None else None

    async def stop(self, trigger_id: str) -> None:
        """Write to nobody more for a trigger."""
        await self._connection.execute("DELETE FROM fanouts WHERE trigger_id = %s", (trigger_id,))

    async def went(self, fanout_id: str, after_id: str) -> None:
        """Note up to whom messages were taken on; "" for all."""
        if after_id:
            await self._connection.execute(
                "UPDATE fanouts SET after_id = %s WHERE fanout_id = %s", (after_id, fanout_id)
            )
        else:
            await self._connection.execute("DELETE FROM fanouts WHERE fanout_id = %s", (fanout_id,))
