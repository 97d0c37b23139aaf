"""Who wants no more, written down before the consent ledger is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from rapport_chassis.database.pool import Connection

from rapport_notification.app.unsubscribing import Wish
from rapport_notification.domain.vocabulary import MINUTE_US, Channel

AGAIN_US: Final = 10 * MINUTE_US
"""Within this time the same person saying the same is one wish; later it is another, for they may have come back."""

_COLUMNS: Final = "request_id, notification_id, profile_id, channel, purpose_ids, brand_id, method, occurred_us, tries"
_SAID: Final = """
SELECT 1 FROM unsubscribes
WHERE profile_id = ANY(%s) AND channel = %s AND purpose_ids = %s AND brand_id = %s AND occurred_us > %s
    AND state <> 'refused'
"""
_ADD: Final = f"""
INSERT INTO unsubscribes ({_COLUMNS}, state, next_us, position)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, 'open', %s, 0)
"""  # noqa: S608 - made of constants
_UNWANTED: Final = """
INSERT INTO preferences (profile_id, category, channel, wanted, set_us) VALUES (%s, %s, %s, false, %s)
ON CONFLICT (profile_id, category, channel) DO UPDATE SET wanted = false, set_us = excluded.set_us
WHERE preferences.wanted
"""
_WANTED_AGAIN: Final = """
DELETE FROM preferences WHERE profile_id = ANY (%s) AND channel = %s AND NOT wanted AND set_us = %s
"""
_NEXT: Final = f"""
SELECT {_COLUMNS} FROM unsubscribes WHERE state = 'open' AND next_us <= %s
ORDER BY next_us LIMIT 1 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - made of constants
_LEASE: Final = "UPDATE unsubscribes SET tries = tries + 1, next_us = %s WHERE request_id = %s"
_END: Final = """
UPDATE unsubscribes SET state = %s, position = %s, next_us = %s WHERE request_id = %s AND state = 'open'
"""


class Unsubscribes:
    """The journal in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def said(self, wish: Wish, profile_ids: Sequence[str]) -> bool:
        """Say whether that person has just said the same."""
        values = (
            list(profile_ids),
            int(wish.channel),
            list(wish.purpose_ids),
            wish.brand_id,
            wish.occurred_us - AGAIN_US,
        )
        return await (await self._connection.execute(_SAID, values)).fetchone() is not None

    async def add(self, wish: Wish) -> None:
        """Write a wish down."""
        values = (
            wish.request_id,
            wish.notification_id,
            wish.profile_id,
            int(wish.channel),
            list(wish.purpose_ids),
            wish.brand_id,
            wish.method,
            wish.occurred_us,
            wish.occurred_us,
        )
        await self._connection.execute(_ADD, values)

    async def refuse_category(self, profile_id: str, category: str, channel: Channel, set_us: int) -> None:
        """Note as a preference that a category is not wanted on a channel; an older refusal stays."""
        await self._connection.execute(_UNWANTED, (profile_id, category, int(channel), set_us))

    async def take_back_refusals(self, profile_ids: Sequence[str], channel: Channel, set_us: int) -> None:
        """Forget the categories that were refused on a channel at that very time, and no others."""
        await self._connection.execute(_WANTED_AGAIN, (list(profile_ids), int(channel), set_us))

    async def next(self, now_us: int) -> Wish | None:
        """Hold the wish whose turn it is to be told; None if there is none."""
        row = await (await self._connection.execute(_NEXT, (now_us,))).fetchone()
        if row is None:
            return None
        request_id, notification_id, profile_id, channel, purposes, *rest = row
        return Wish(request_id, notification_id, profile_id, Channel(channel), tuple(purposes), *rest)

    async def lease(self, request_id: UUID, until_us: int) -> None:
        """Let nobody else tell it before a time."""
        await self._connection.execute(_LEASE, (until_us, request_id))

    async def recorded(self, request_id: UUID, position: int, now_us: int) -> None:
        """Note that it is in the ledger, and since when."""
        await self._connection.execute(_END, ("recorded", position, now_us, request_id))

    async def refused(self, request_id: UUID) -> None:
        """Note that the ledger will never take it: the person was erased."""
        await self._connection.execute(_END, ("refused", 0, 0, request_id))
