"""What notification holds of a person, and what becomes of it when privacy requests ask.

Addresses that were given up stay: a keyed hash names nobody, and without it the next import would be written to again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

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
from rapport_privacy.participant.living import STILL

from rapport_notification.adapters.rows import COLUMNS, attempts_of, stored_in
from rapport_notification.adapters.sealing import Sealer
from rapport_notification.app.times import micros_of, moment_of
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.translate.holdings import message_content

_WANTED: Final = ("contract.service", "direct_marketing.*")
_STORES: Final = (
    Store("messages", "user.contact", Origin.INFERRED, _WANTED, kept_for=timedelta(days=1096)),
    Store("preferences", "user.preferences", Origin.PROVIDED, _WANTED),
    Store("places", "user.location", Origin.PROVIDED, _WANTED),
    Store("cap_counts", "user.behavior", Origin.INFERRED, _WANTED, kept_for=timedelta(days=800)),
    Store("inbox", "user.contact", Origin.INFERRED, _WANTED, kept_for=timedelta(days=365)),
    Store("watches", "user.behavior", Origin.PROVIDED, _WANTED),
    Store("unsubscribes", "user.preferences", Origin.PROVIDED, _WANTED, kept_for=timedelta(days=1096)),
    Store("endpoints", "user.device", Origin.PROVIDED, _WANTED),
    Store("texts", "user.content.private", Origin.PROVIDED, _WANTED, kept_for=timedelta(days=30)),
)
_TABLES: Final = {
    "messages": ("notifications", "recipient_id", "notification_id"),
    "preferences": ("preferences", "profile_id", "category || '/' || channel"),
    "places": ("people", "profile_id", "profile_id"),
    "cap_counts": ("cap_counts", "profile_id", "cap || '/' || day"),
    "inbox": ("inbox_messages", "profile_id", "notification_id"),
    "watches": ("watches", "profile_id", "product_id || '/' || variant_id || '/' || market"),
    "unsubscribes": ("unsubscribes", "profile_id", "request_id::text"),
    "endpoints": ("endpoints", "profile_id", "endpoint_id"),
    "texts": ("texts", "profile_id", "text_id"),
}
_SHOWN: Final = {
    "preferences": ("category, channel, wanted, set_us", "set_us"),
    "places": ("zone, country, place_us", "place_us"),
    "cap_counts": ("cap, day::text AS day, taken", ""),
    "inbox": ("brand_id, category, locale, subject, body, sent_us, read_us", "sent_us"),
    "watches": ("product_id, variant_id, market, since_us", "since_us"),
    "unsubscribes": ("channel, purpose_ids, brand_id, occurred_us", "occurred_us"),
    "endpoints": ("channel, host, registered_us", "registered_us"),
    "texts": ("brand_id, meaning, sealed, received_us", "received_us"),
}
"""What is handed out of each, and when it was taken down; addresses of endpoints are secrets of the browser."""
_OLD: Final = {
    "messages": "accepted_us < %(before)s AND ended_us BETWEEN 1 AND %(before)s AND state NOT IN (1, 2, 3, 5)",
    "cap_counts": "day < %(day)s",
    "inbox": "sent_us < %(before)s",
    "unsubscribes": "state <> 'open' AND occurred_us < %(before)s",
    "texts": "received_us < %(before)s",
}
"""What has been kept long enough: of messages only what has ended, of unsubscribes only what the ledger knows."""
_THOSE: Final = "{of} = ANY (%(ids)s) AND NOT (%(all)s OR {id} = ANY (%(kept)s))"
_OF_MESSAGES: Final = ("receipts", "attempts", "feedback", "engagements")


class NotificationHolding(Holding):
    """`Holding` of notification.

    Args:
        sealer: Opens texts that people sent.
    """

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    @property
    def stores(self) -> tuple[Store, ...]:
        """What notification keeps about people."""
        return _STORES

    async def export(self, connection: Connection, subject: Subject) -> AsyncIterator[Exported]:
        """Yield all that is held, record by record."""
        values = {"ids": subject.ids}
        mine = f"SELECT {COLUMNS} FROM notifications WHERE recipient_id = ANY (%(ids)s)"  # noqa: S608 - made of constants
        async for row in rows(connection, mine, values):
            stored = stored_in(list(row.values()))
            attempts = (await attempts_of(connection, [stored.notification_id]))[stored.notification_id]
            content = message_content(stored, attempts)
            yield Exported("messages", stored.notification_id, content, moment_of(stored.accepted_us))
        for name, (shown, at) in _SHOWN.items():
            table, of, id_ = _TABLES[name]
            statement = f"SELECT {id_} AS record_id, {shown} FROM {table} WHERE {of} = ANY (%(ids)s)"  # noqa: S608 - made of constants
            async for row in rows(connection, statement, values):
                if name == "texts":
                    row["number"], row["text"] = json.loads(self._sealer.open(row.pop("sealed")))
                yield _exported(name, row, at)

    async def count(self, connection: Connection, subject: Subject) -> Answer:
        """Say what is held."""
        return Answer(tuple([StoreCount(name, await _count(connection, name, subject)) for name in _TABLES]))

    async def erase(self, connection: Connection, subject: Subject) -> Answer:
        """Delete everything that no hold keeps: what waits is not sent, and of what was sent nothing is known."""
        stores: list[StoreCount] = []
        kept: list[Kept] = []
        for name in _TABLES:
            found = await _count(connection, name, subject)
            held = subject.held_in(name)
            acted = await _delete(connection, name, _values(subject, held))
            stores.append(StoreCount(name, found, acted))
            if found > acted and held.ground:
                kept.append(Kept(name, found - acted, held.ground, held.until))
        return Answer(tuple(stores), tuple(kept))

    async def expire(self, connection: Connection, store: Store, before: datetime, limit: int) -> int:
        """Delete some of what ended before, with all that is known of it, but for that of who is frozen or held."""
        table, of, _ = _TABLES[store.name]
        those = f"{_OLD[store.name]} AND NOT ({STILL.format(profile_id=f'{table}.{of}')})"
        values = {"before": micros_of(before), "day": before.date(), "limit": limit}
        if store.name == "messages":
            return await _delete_messages(connection, f"{those} LIMIT %(limit)s", values)
        chosen = f"SELECT ctid FROM {table} WHERE {those} LIMIT %(limit)s"  # noqa: S608 - made of constants
        statement = f"DELETE FROM {table} WHERE ctid IN ({chosen})"  # noqa: S608 - made of constants
        return (await connection.execute(statement.encode(), values)).rowcount


async def _delete(connection: Connection, name: str, values: dict[str, Any]) -> int:
    table, of, id_ = _TABLES[name]
    those = _THOSE.format(of=of, id=id_)
    if name != "messages":
        return (await connection.execute(f"DELETE FROM {table} WHERE {those}".encode(), values)).rowcount  # noqa: S608
    return await _delete_messages(connection, those, values)


async def _delete_messages(connection: Connection, those: str, values: dict[str, Any]) -> int:
    # A worker that has one of them under way waits here, and finds it gone: it keeps nothing of what came of it.
    doomed = f"SELECT notification_id FROM notifications WHERE {those} FOR UPDATE"  # noqa: S608 - made of constants
    ids = [row[0] for row in await (await connection.execute(doomed.encode(), values)).fetchall()]
    for part in (*_OF_MESSAGES, "notifications"):
        await connection.execute(f"DELETE FROM {part} WHERE notification_id = ANY (%s)".encode(), (ids,))  # noqa: S608
    return len(ids)


async def _count(connection: Connection, name: str, subject: Subject) -> int:
    table, of, _ = _TABLES[name]
    statement = f"SELECT count(*) FROM {table} WHERE {of} = ANY (%s)"  # noqa: S608 - made of constants
    row = await (await connection.execute(statement.encode(), [subject.ids])).fetchone()
    return int(row[0]) if row is not None else 0


def _exported(name: str, row: dict[str, Any], at: str) -> Exported:
    content = {key: value for key, value in row.items() if key != "record_id"}
    if "channel" in content:
        content["channel"] = Channel(content["channel"]).name if content["channel"] else ""
    for key in [key for key in content if key.endswith("_us")]:
        micros = content.pop(key)
        content[f"{key.removesuffix('_us')}_at"] = moment_of(micros).isoformat() if micros else ""
    recorded_at = moment_of(row[at]) if at and row[at] else None
    return Exported(name, str(row["record_id"]), content, recorded_at)


def _values(subject: Subject, held: Held) -> dict[str, Any]:
    return {"ids": subject.ids, "all": held.everything, "kept": list(held.record_ids)}
