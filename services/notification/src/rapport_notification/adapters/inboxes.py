"""Messages that people find inside a site or an application, in positions that readers go on from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_notification.domain.inbox import InboxEntry

_TAKE: Final = "UPDATE inbox_head SET position = position + %s RETURNING position"
_DELIVER: Final = """
INSERT INTO inbox_messages
    (notification_id, position, profile_id, brand_id, category, locale, subject, body, sent_us, read_us, removed)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 0, false)
"""
_AFTER: Final = """
SELECT position, notification_id, brand_id, category, locale, subject, body, sent_us, read_us, removed
FROM inbox_messages
WHERE profile_id = ANY(%s) AND position > %s AND (%s = '' OR brand_id IN ('', %s)) AND NOT (removed AND %s = 0)
ORDER BY position LIMIT %s
"""
_UNREAD: Final = """
SELECT notification_id FROM inbox_messages
WHERE profile_id = ANY(%s) AND notification_id = ANY(%s) AND read_us = 0 AND NOT removed ORDER BY notification_id
"""
_CHANGE: Final = """
UPDATE inbox_messages SET read_us = %s, position = changed.position
FROM unnest(%s::text[], %s::bigint[]) AS changed (notification_id, position)
WHERE inbox_messages.notification_id = changed.notification_id
"""


async def deliver(
    connection: Connection,
    notification_id: str,
    profile_id: str,
    *,
    brand_id: str,
    category: str,
    locale: str,
    subject: str,
    text: str,
    now_us: int,
) -> None:
    """Put a message into an inbox; one that is there already stays as it is.

    Args:
        connection: The caller's transaction.
        notification_id: The message.
        profile_id: Whose inbox.
        brand_id: The brand that speaks.
        category: Of the message.
        locale: Its language.
        subject: Its first line; names nobody.
        text: Its text; names nobody.
        now_us: When.
    """
    if await known(connection, notification_id):
        return
    position = await _take(connection, 1)
    if await known(connection, notification_id):  # by whoever held the head before
        return
    values = (notification_id, position, profile_id, brand_id, category, locale, subject, text, now_us)
    await connection.execute(_DELIVER, values)


async def known(connection: Connection, notification_id: str) -> bool:
    """Say whether a message is in an inbox: what settles a doubt about it."""
    cursor = await connection.execute("SELECT 1 FROM inbox_messages WHERE notification_id = %s", (notification_id,))
    return await cursor.fetchone() is not None


async def after(
    connection: Connection, profile_ids: Sequence[str], brand_id: str, position: int, limit: int
) -> list[InboxEntry]:
    """Return what changed in somebody's inbox after a position, in order."""
    values = (list(profile_ids), position, brand_id, brand_id, position, limit)
    return [InboxEntry(*row) for row in await (await connection.execute(_AFTER, values)).fetchall()]


async def mark_read(
    connection: Connection, profile_ids: Sequence[str], notification_ids: Sequence[str], now_us: int
) -> int:
    """Note that messages were read; return how many had not been."""
    head = await _take(connection, 0)
    cursor = await connection.execute(_UNREAD, (list(profile_ids), list(notification_ids)))
    unread = [each for (each,) in await cursor.fetchall()]
    if unread:
        await _take(connection, len(unread))
        places = list(range(head + 1, head + 1 + len(unread)))
        await connection.execute(_CHANGE, (now_us, unread, places))
    return len(unread)


async def head(connection: Connection) -> int:
    """Return the last position."""
    row = await (await connection.execute("SELECT position FROM inbox_head")).fetchone()
    assert row is not None
    return int(row[0])


async def _take(connection: Connection, count: int) -> int:
    row = await (await connection.execute(_TAKE, (count,))).fetchone()
    assert row is not None
    return int(row[0])
