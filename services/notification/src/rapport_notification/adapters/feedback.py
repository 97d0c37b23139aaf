"""What came back of attempts, addresses that are given up because of it, and what was done with messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from rapport_chassis.database.pool import Connection

from rapport_notification.adapters import suppressions
from rapport_notification.domain.engagement import By, Engagement, Seen
from rapport_notification.domain.suppression import Feedback, Suppression
from rapport_notification.domain.vocabulary import DAY_US, Channel

_ADD: Final = """
INSERT INTO feedback (notification_id, attempt, kind, channel, address_hash, at_us) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_HISTORY: Final = "SELECT at_us, kind FROM feedback WHERE address_hash = %s AND channel = %s AND at_us >= %s"
_LIFTED: Final = "DELETE FROM feedback WHERE address_hash = %s AND channel = %s AND kind IN ('hard', 'soft')"
_DELIVERED: Final = "UPDATE notifications SET delivered_us = %s WHERE notification_id = %s AND delivered_us = 0"
_LAST_TO: Final = """
SELECT notification_id, attempt FROM attempts
WHERE address_hash = %s AND channel = %s AND outcome IN (1, 3) ORDER BY began_us DESC LIMIT 1
"""
# A person who comes after a machine is told of as well, once.
_SEE: Final = """
INSERT INTO engagements (notification_id, engagement, link, at_us, looks, settles_us, told)
VALUES (%(id)s, %(engagement)s, %(link)s, %(at)s, %(looks)s, %(settles)s, 0)
ON CONFLICT (notification_id, engagement, link) DO UPDATE
    SET at_us = excluded.at_us, looks = excluded.looks, settles_us = excluded.settles_us, told = 0
    WHERE engagements.told = 2 AND excluded.looks <> 2
"""
_SETTLED: Final = """
SELECT notification_id, engagement, link, at_us, looks FROM engagements
WHERE told = 0 AND settles_us <= %s ORDER BY settles_us LIMIT %s FOR UPDATE SKIP LOCKED
"""
_AROUND: Final = "SELECT engagement, link, at_us, looks FROM engagements WHERE notification_id = %s"
_TOLD: Final = "UPDATE engagements SET told = %s WHERE notification_id = %s AND engagement = %s AND link = %s"

_HISTORY_US: Final = 400 * DAY_US


class Unsettled(NamedTuple):
    """Something that was done with a message and is to be judged."""

    notification_id: str
    seen: Seen


class FeedbackStore:
    """Feedback, suppressions and engagement in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(
        self, notification_id: str, attempt: int, kind: Feedback, channel: Channel, address_hash: bytes, at_us: int
    ) -> bool:
        """Keep what came back; False if it was known."""
        values = (notification_id, attempt, kind.value, int(channel), address_hash, at_us)
        return (await self._connection.execute(_ADD, values)).rowcount == 1

    async def history(self, address_hash: bytes, channel: Channel, now_us: int) -> list[tuple[int, Feedback]]:
        """Return what came back from an address: when and what."""
        cursor = await self._connection.execute(_HISTORY, (address_hash, int(channel), now_us - _HISTORY_US))
        return [(at, Feedback(kind)) for at, kind in await cursor.fetchall()]

    async def suppress(self, address_hash: bytes, channel: Channel, found: Suppression) -> None:
        """Give an address up. What a person said stands before what a server said."""
        await suppressions.add(self._connection, address_hash, channel, found)

    async def suppressed(self, address_hash: bytes, channel: Channel) -> Suppression | None:
        """Return why an address is given up; None if it is not."""
        return (await suppressions.of(self._connection, [address_hash])).get((address_hash, int(channel)))

    async def forget(self, address_hash: bytes, channel: Channel) -> None:
        """Forget that an address was given up; what came back of it stays known."""
        await suppressions.remove(self._connection, address_hash, channel)

    async def lift(self, address_hash: bytes, channel: Channel) -> None:
        """Write to an address again; the bounces that gave it up are forgotten."""
        await self.forget(address_hash, channel)
        await self._connection.execute(_LIFTED, (address_hash, int(channel)))

    async def delivered(self, notification_id: str, at_us: int) -> bool:
        """Note that a message arrived; False if that was known."""
        return (await self._connection.execute(_DELIVERED, (at_us, notification_id))).rowcount == 1

    async def last_to(self, address_hash: bytes, channel: Channel) -> tuple[str, int] | None:
        """Return the last message to an address, and the attempt."""
        row = await (await self._connection.execute(_LAST_TO, (address_hash, int(channel)))).fetchone()
        return (row[0], row[1]) if row is not None else None

    async def see(self, notification_id: str, seen: Seen, settles_us: int) -> None:
        """Note that something was done with a message."""
        values = {
            "id": notification_id,
            "engagement": int(seen.engagement),
            "link": seen.link,
            "at": seen.at_us,
            "looks": int(seen.looks),
            "settles": settles_us,
        }
        await self._connection.execute(_SEE, values)

    async def settled(self, now_us: int, limit: int) -> list[Unsettled]:
        """Hold what can be judged by now."""
        rows = await (await self._connection.execute(_SETTLED, (now_us, limit))).fetchall()
        return [Unsettled(row[0], _seen(row[1:])) for row in rows]

    async def around(self, notification_id: str) -> list[Seen]:
        """Return all that was done with a message."""
        return [_seen(row) for row in await (await self._connection.execute(_AROUND, (notification_id,))).fetchall()]

    async def told(self, one: Unsettled, by: By) -> None:
        """Note that it was told; what a machine did may be told again, of a person."""
        told = 2 if by is By.SCANNER else 1
        values = (told, one.notification_id, int(one.seen.engagement), one.seen.link)
        await self._connection.execute(_TOLD, values)


def _seen(row: Sequence[int | str]) -> Seen:
    engagement, link, at_us, looks = row
    return Seen(Engagement(int(engagement)), str(link), int(at_us), By(int(looks)))
