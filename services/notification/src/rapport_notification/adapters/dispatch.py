"""What sending needs of PostgreSQL: messages that are due, what bounds them, and a transaction for both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Final

from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection

from rapport_notification.adapters import preferences, suppressions
from rapport_notification.adapters.messages import MessageBook
from rapport_notification.adapters.rows import COLUMNS, stored_in
from rapport_notification.adapters.rules import Rules
from rapport_notification.adapters.templates import TemplateShelf
from rapport_notification.app.messages import Stored
from rapport_notification.app.sending import Case, Known
from rapport_notification.domain.entries import Limits
from rapport_notification.domain.preferences import Person
from rapport_notification.domain.routing import Past
from rapport_notification.domain.scheduling import Priority
from rapport_notification.domain.suppression import Suppression
from rapport_notification.domain.vocabulary import SECOND_US, Channel

Unsubscribed = Callable[[Connection, Sequence[Case]], Awaitable[Collection[str]]]
"""Returns of which messages the recipient has unsubscribed."""
Pasts = Callable[[Connection, Mapping[str, tuple[str, ...]]], Awaitable[Mapping[str, Mapping[Channel, Past]]]]
"""Returns how people have used channels: by the current id, of which the other ids are given."""

_LATE_US: Final = 5 * SECOND_US
_SPREAD_AT_ONCE: Final = 10_000

# What waited for an opening and was not let go when its time came: nobody worked for a while. It is spread again,
# evenly among all that comes next, for let go at once it would be the burst that the spreading is there to prevent.
_WAITS: Final = "state = 2 AND hold = 1 AND leased_until_us <= %(now)s"
_SPREAD: Final = f"""
WITH held AS (
    SELECT notification_id, due_us, expires_us FROM notifications
    WHERE {_WAITS} AND due_us < %(now)s + %(spread)s
        AND EXISTS (SELECT FROM notifications WHERE {_WAITS} AND due_us < %(now)s - %(late)s)
    ORDER BY due_us LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), numbered AS (
    SELECT notification_id, row_number() OVER (ORDER BY due_us, notification_id) - 1 AS number,
        count(*) OVER () AS total, greatest(0, least(%(spread)s, (expires_us - %(now)s) / 2)) AS room
    FROM held
)
UPDATE notifications SET due_us = %(now)s + number * room / total FROM numbered
WHERE notifications.notification_id = numbered.notification_id
"""  # noqa: S608 - made of constants
# Brands are found by jumps along the index, so that a backlog of one does not hide another.
_CLAIM: Final = f"""
WITH RECURSIVE brands AS (
    (SELECT brand_id FROM notifications WHERE state IN (1, 2) AND priority = %(priority)s ORDER BY brand_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT next.brand_id FROM notifications AS next
        WHERE next.state IN (1, 2) AND next.priority = %(priority)s AND next.brand_id > brands.brand_id
        ORDER BY next.brand_id LIMIT 1
    ) FROM brands WHERE brands.brand_id IS NOT NULL
), chosen AS (
    SELECT due.notification_id FROM brands CROSS JOIN LATERAL (
        SELECT notification_id, due_us FROM notifications
        WHERE state IN (1, 2) AND priority = %(priority)s AND notifications.brand_id = brands.brand_id
            AND due_us <= %(now)s AND leased_until_us <= %(now)s
        ORDER BY due_us LIMIT %(each)s FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE brands.brand_id IS NOT NULL LIMIT %(limit)s
)
UPDATE notifications SET fence = fence + 1, leased_until_us = %(until)s FROM chosen
WHERE notifications.notification_id = chosen.notification_id
RETURNING {", ".join(f"notifications.{name.strip()}" for name in COLUMNS.split(","))}
"""  # noqa: S608 - made of constants
_GIVE_BACK: Final = """
UPDATE notifications SET leased_until_us = 0 FROM unnest(%s::text[], %s::bigint[]) AS mine (id, number)
WHERE notification_id = mine.id AND fence = mine.number AND state IN (1, 2)
"""
_DOUBTS: Final = f"""
SELECT {COLUMNS} FROM notifications WHERE state IN (3, 5) AND look_us <= %(now)s
    AND (state = 5 OR leased_until_us <= %(now)s) ORDER BY look_us LIMIT %(limit)s
"""  # noqa: S608 - made of constants
_COUNT_DOUBTS: Final = "SELECT count(*) FROM notifications WHERE state = 5"
# Read in an inbox, or done something with by what does not look like a machine.
_NOTICED: Final = """
SELECT notification_id FROM engagements WHERE notification_id = ANY (%(ids)s) AND looks <> 2
UNION SELECT notification_id FROM inbox_messages WHERE notification_id = ANY (%(ids)s) AND read_us > 0
"""
_COUNTS: Final = "SELECT profile_id, cap, day, taken FROM cap_counts WHERE profile_id = ANY (%s) AND day >= %s"
_RESERVE: Final = """
INSERT INTO cap_counts (profile_id, cap, day, taken) VALUES (%s, %s, %s, 1)
ON CONFLICT (profile_id, cap, day) DO UPDATE SET taken = cap_counts.taken + 1
"""


class SendingBook(MessageBook):
    """Messages and what bounds them, in one transaction.

    Args:
        connection: The transaction.
        shelf: Templates.
        unsubscribed: Returns of which messages the recipient has unsubscribed.
    """

    def __init__(self, connection: Connection, shelf: TemplateShelf, unsubscribed: Unsubscribed | None) -> None:
        super().__init__(connection, shelf)
        self._unsubscribed = unsubscribed

    async def persons(self, closures: Iterable[Sequence[str]]) -> dict[str, Person]:
        """Return what people want, by the first id of each."""
        return await preferences.persons(self.connection, closures)

    async def unsubscribed(self, cases: Sequence[Case]) -> Collection[str]:
        """Return of which messages the recipient has unsubscribed, whether or not the ledger knows."""
        return await self._unsubscribed(self.connection, cases) if self._unsubscribed is not None and cases else ()

    async def suppressions(self, hashes: Collection[bytes]) -> dict[tuple[bytes, int], Suppression]:
        """Return addresses that were given up, by hash and channel."""
        return await suppressions.of(self.connection, hashes)

    async def suppress(self, address_hash: bytes, channel: Channel, suppression: Suppression) -> None:
        """Give an address up."""
        await suppressions.add(self.connection, address_hash, channel, suppression)

    async def counts(self, ids: Collection[str], since: date) -> dict[str, dict[tuple[str, date], int]]:
        """Return places taken in caps since a day, by the id they were taken under."""
        found: dict[str, dict[tuple[str, date], int]] = {}
        for profile_id, cap, day, taken in await (
            await self.connection.execute(_COUNTS, (sorted(ids), since))
        ).fetchall():
            found.setdefault(profile_id, {})[cap, day] = taken
        return found

    async def reserve(self, places: Collection[tuple[str, str, str]]) -> None:
        """Take places: id, cap and day of each."""
        if places:
            async with self.connection.cursor() as cursor:
                await cursor.executemany(_RESERVE, sorted(places))


class SendingStore:
    """Where messages wait and what is known of them.

    Args:
        database: The database.
        shelf: Templates.
        rules: Categories and caps.
        spread_us: Over how long messages that waited for the same opening are let go.
        unsubscribed: Returns of which messages the recipient has unsubscribed.
        pasts: Returns how people have used channels.
    """

    def __init__(
        self,
        database: Database,
        shelf: TemplateShelf,
        rules: Rules,
        *,
        spread_us: int,
        unsubscribed: Unsubscribed | None = None,
        pasts: Pasts | None = None,
    ) -> None:
        self._spread_us = spread_us
        self._database = database
        self._shelf = shelf
        self._rules = rules
        self._unsubscribed = unsubscribed
        self._pasts = pasts

    async def claim(self, priority: Priority, limit: int, now_us: int, limits: Limits) -> list[Stored]:
        """Take messages that are due for this worker, those of every brand in turn.

        After a pause what should have gone meanwhile is first spread over the time to come, and nothing taken.

        Raises:
            RapportError: NOT_READY.
        """
        values = {
            "priority": int(priority),
            "now": now_us,
            "until": now_us + limits.lease_us,
            "each": limit,
            "limit": limit,
        }
        async with self._database.transaction() as connection:
            if priority is Priority.BULK and await self._spread(connection, now_us):
                return []
            rows = await (await connection.execute(_CLAIM, values)).fetchall()
        return sorted(map(stored_in, rows), key=lambda each: each.entry.due_us)

    async def _spread(self, connection: Connection, now_us: int) -> int:
        values = {"now": now_us, "spread": self._spread_us, "late": _LATE_US, "limit": _SPREAD_AT_ONCE}
        return (await connection.execute(_SPREAD.encode(), values)).rowcount

    async def give_back(self, messages: Sequence[Stored]) -> None:
        """Let others claim messages that this worker has claimed and not begun.

        Raises:
            RapportError: NOT_READY.
        """
        if not messages:
            return
        ids, fences = [each.notification_id for each in messages], [each.entry.fence for each in messages]
        async with self._database.transaction() as connection:
            await connection.execute(_GIVE_BACK, (ids, fences))

    async def known(self, messages: Sequence[Stored], closures: Mapping[str, tuple[str, ...]]) -> Known:
        """Return what is known of messages; `closures` are the ids of each recipient."""
        async with self._database.transaction() as connection:
            rules = await self._rules.book(connection)
            persons = await preferences.persons(connection, closures.values())
            prepared = {
                each.notification_id: await self._shelf.version(
                    connection, each.ask.template_id, each.template_brand, each.template_version
                )
                for each in messages
            }
            people = {ids[0]: ids for ids in closures.values()}
            pasts = await self._pasts(connection, people) if self._pasts is not None else {}
            noticed = await _noticed(connection, [each.follows for each in messages if each.follows])
        return Known(rules, persons, prepared, pasts, noticed)

    async def doubts(self, now_us: int, limit: int) -> tuple[list[Stored], int]:
        """Return messages in doubt that it is time to look at, and how many are in doubt at all."""
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(_DOUBTS, {"now": now_us, "limit": limit})).fetchall()
            counted = await (await connection.execute(_COUNT_DOUBTS)).fetchone()
        return [stored_in(row) for row in rows], counted[0] if counted is not None else 0

    @asynccontextmanager
    async def book(self) -> AsyncIterator[SendingBook]:
        """Give a transaction: committed at the end of the block, rolled back on an error."""
        async with self._database.transaction() as connection:
            yield SendingBook(connection, self._shelf, self._unsubscribed)


async def _noticed(connection: Connection, ids: list[str]) -> set[str]:
    if not ids:
        return set()
    return {row[0] for row in await (await connection.execute(_NOTICED, {"ids": ids})).fetchall()}
