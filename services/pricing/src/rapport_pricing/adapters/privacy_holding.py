"""What pricing holds of a person, and what becomes of it when privacy requests ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rapport.pricing.v1 import pricing_pb2, quote_pb2
from rapport_chassis.database.pool import Connection
from rapport_privacy.participant.export import rows
from rapport_privacy.participant.holding import (
    Answer,
    Exported,
    Held,
    Holding,
    Kept,
    Origin,
    Store,
    StoreCount,
    Subject,
)

from rapport_pricing.adapters import head
from rapport_pricing.translate.holdings import offer_content, quote_content, redemption_content

_PERSONAL: Final = ("pricing.personal",)
_STORES: Final = (
    Store("quotes", "user.financial", Origin.INFERRED, (*_PERSONAL, "contract"), kept_for=timedelta(days=400)),
    Store("redemptions", "user.financial", Origin.OBSERVED, ("contract", "TAX_LAW"), source="SHOP_SYSTEMS"),
    Store("offers", "user.behavior", Origin.INFERRED, _PERSONAL),
    Store("reservations", "user.behavior", Origin.INFERRED, ("contract",)),
    Store("reviews", "user.behavior", Origin.PROVIDED, ("contract",)),
    Store("experiments", "user.behavior", Origin.INFERRED, _PERSONAL),
    Store("risks", "user.behavior", Origin.INFERRED, _PERSONAL),
)
_IDS: Final = {
    "quotes": ("decisions", "decision_id"),
    "redemptions": ("redemptions", "quote_id"),
    "offers": ("offers", "offer_id"),
    "reservations": ("reservations", "promotion_id || '/' || quote_id"),
    "reviews": ("reviews", "review_id"),
    "experiments": ("experiment_units", "experiment_id || '/' || version"),
    "risks": ("risks", "profile_id"),
}
_NOT_HELD: Final = "profile_id = ANY (%(ids)s) AND NOT (%(all)s OR {id} = ANY (%(kept)s))"
_ERASE: Final = {
    "quotes": "UPDATE decisions SET profile_id = '', body = NULL, inputs = NULL WHERE {those}",
    "offers": """
        UPDATE offers SET profile_id = '', permission = '', cause_event_id = '', version = version + 1,
            position = %(position)s, state = CASE state WHEN 'open' THEN 'not_permitted' ELSE state END WHERE {those}
    """,
    "reservations": "UPDATE reservations SET profile_id = '' WHERE {those}",
    "reviews": "UPDATE reviews SET profile_id = '', reason = '' WHERE {those}",
    "experiments": """
        UPDATE experiment_units SET profile_id = '', unit_id = 'erased/' || gen_random_uuid() WHERE {those}
    """,
    "risks": "DELETE FROM risks WHERE {those}",
}
_REDEEMED: Final = "SELECT quote_id, body, redeemed_at FROM redemptions WHERE {those} FOR UPDATE"
_BLANK: Final = "UPDATE redemptions SET profile_id = '', named_id = '', told = NULL, body = %s WHERE quote_id = %s"


class PricingHolding(Holding):
    """`Holding` of pricing.

    A redeemed quote is a receipt: what was sold, at which price and tax, is kept without whose it was, until the end of
    the year in which the law of taxes lets go of it.

    Args:
        years: How many whole years after its own a receipt is kept.
    """

    def __init__(self, years: int) -> None:
        self._years = years

    @property
    def stores(self) -> tuple[Store, ...]:
        """What pricing keeps about people."""
        return _STORES

    async def export(self, connection: Connection, subject: Subject) -> AsyncIterator[Exported]:
        """Yield all that is held, record by record."""
        values = {"ids": subject.ids}
        quotes = (
            "SELECT decision_id, issued_at, body FROM decisions WHERE profile_id = ANY (%(ids)s) AND body IS NOT NULL"
        )
        async for row in rows(connection, quotes, values):
            quote = quote_pb2.Quote.FromString(bytes(row["body"]))
            yield Exported("quotes", row["decision_id"], quote_content(quote), row["issued_at"])
        redeemed = "SELECT quote_id, redeemed_at, body FROM redemptions WHERE profile_id = ANY (%(ids)s)"
        async for row in rows(connection, redeemed, values):
            receipt = pricing_pb2.Redemption.FromString(bytes(row["body"]))
            yield Exported("redemptions", row["quote_id"], redemption_content(receipt), row["redeemed_at"])
        async for row in rows(connection, "SELECT * FROM offers WHERE profile_id = ANY (%(ids)s)", values):
            made = datetime.fromtimestamp(row["created_us"] / 1e6, UTC)
            yield Exported("offers", row["offer_id"], offer_content(row), made)
        reserved = "SELECT * FROM reservations WHERE profile_id = ANY (%(ids)s)"
        async for row in rows(connection, reserved, values):
            content = {name: row[name] for name in ("promotion_id", "quote_id", "amount", "state")}
            yield Exported("reservations", f"{row['promotion_id']}/{row['quote_id']}", content)
        async for row in rows(connection, "SELECT * FROM reviews WHERE profile_id = ANY (%(ids)s)", values):
            content = {name: row[name] for name in ("decision_id", "state", "requested_at", "decided_at", "reason")}
            yield Exported("reviews", row["review_id"], content, row["requested_at"])
        async for row in rows(connection, "SELECT * FROM experiment_units WHERE profile_id = ANY (%(ids)s)", values):
            content = {name: row[name] for name in ("experiment_id", "version", "arm", "quotes", "redeemed", "earned")}
            yield Exported("experiments", f"{row['experiment_id']}/{row['version']}", content, row["first_at"])
        async for row in rows(connection, "SELECT * FROM risks WHERE profile_id = ANY (%(ids)s)", values):
            waiting = {"level": row["waiting_level"]} if row["waiting_event_id"] else {}
            yield Exported("risks", row["profile_id"], {"version": row["version"], **waiting})

    async def count(self, connection: Connection, subject: Subject) -> Answer:
        """Say what is held."""
        return Answer(tuple([StoreCount(name, await _count(connection, name, subject)) for name in _IDS]))

    async def erase(self, connection: Connection, subject: Subject) -> Answer:
        """Blank or delete everything that no law and no hold keeps."""
        # Whoever uses an offer holds the head of the catalogue first: so does who ends one.
        at = await head.lock(connection)
        position = await head.advance(connection, at.recorded_at)
        stores: list[StoreCount] = []
        kept: list[Kept] = []
        for name in _IDS:
            found = await _count(connection, name, subject)
            held = subject.held_in(name)
            values = _values(subject, held) | {"position": position}
            acted = (
                await self._receipts(connection, values, kept)
                if name == "redemptions"
                else (await connection.execute(_statement(_ERASE[name], name), values)).rowcount
            )
            stores.append(StoreCount(name, found, acted))
            if found > acted and held.ground:
                kept.append(Kept(name, found - acted, held.ground, held.until))
        return Answer(tuple(stores), tuple(kept))

    async def _receipts(self, connection: Connection, values: dict[str, Any], kept: list[Kept]) -> int:
        found = await (await connection.execute(_statement(_REDEEMED, "redemptions"), values)).fetchall()
        for quote_id, body, _ in found:
            receipt = pricing_pb2.Redemption.FromString(bytes(body))
            receipt.ClearField("profile_id")
            await connection.execute(_BLANK, (receipt.SerializeToString(), quote_id))
        if found:
            last = max(redeemed_at for _, _, redeemed_at in found)
            kept.append(
                Kept("redemptions", len(found), "TAX_LAW", datetime(last.year + self._years + 1, 1, 1, tzinfo=UTC))
            )
        return len(found)


async def _count(connection: Connection, name: str, subject: Subject) -> int:
    table, _ = _IDS[name]
    statement = f"SELECT count(*) FROM {table} WHERE profile_id = ANY (%s)"  # noqa: S608 - made of constants
    row = await (await connection.execute(statement.encode(), [subject.ids])).fetchone()
    return int(row[0]) if row is not None else 0


def _statement(template: str, name: str) -> bytes:
    return template.format(those=_NOT_HELD.format(id=_IDS[name][1])).encode()


def _values(subject: Subject, held: Held) -> dict[str, Any]:
    return {"ids": subject.ids, "all": held.everything, "kept": list(held.record_ids)}
