"""Texts of which something is left to do, in PostgreSQL: who sent them and what they say is encrypted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from rapport_chassis.database.pool import Connection
from rapport_chassis.events import inbox

from rapport_notification.adapters.sealing import Sealer
from rapport_notification.app.replying import Text
from rapport_notification.sending.sms import Reply

_COLUMNS: Final = (
    "text_id, address_hash, profile_id, notification_id, brand_id, meaning, language, sealed, received_us, unknown,"
    " begun, tries"
)
_ADD: Final = f"INSERT INTO texts ({_COLUMNS}, due_us) VALUES ({', '.join(['%s'] * (_COLUMNS.count(',') + 2))})"  # noqa: S608 - made of constants
_NEXT: Final = f"""
SELECT {_COLUMNS} FROM texts WHERE meaning <> 'review' AND due_us <= %s ORDER BY due_us LIMIT 1 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - made of constants
_LEASE: Final = "UPDATE texts SET due_us = %s, tries = least(tries + 1, 1000) WHERE text_id = %s"
_KNOWN: Final = "UPDATE texts SET unknown = false WHERE text_id = %s"
_BEGUN: Final = "UPDATE texts SET begun = %s WHERE text_id = %s"
_DONE: Final = "DELETE FROM texts WHERE text_id = %s"
_REVIEWS: Final = f"""
SELECT {_COLUMNS} FROM texts WHERE meaning = 'review' AND (received_us, text_id) > (%s, %s)
ORDER BY received_us, text_id LIMIT %s
"""  # noqa: S608 - made of constants
_REVIEWED: Final = f"DELETE FROM texts WHERE text_id = %s AND meaning = 'review' RETURNING {_COLUMNS}"  # noqa: S608 - made of constants
_CLOSE: Final = "DELETE FROM texts WHERE address_hash = %s AND meaning = 'review'"
_OPEN: Final = "SELECT 1 FROM texts WHERE address_hash = %s AND meaning = 'review' LIMIT 1"
_CALLS: Final = "texts"


class TextStore:
    """Texts in the caller's transaction.

    Args:
        connection: The transaction.
        sealer: Seals and opens.
    """

    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        self._connection = connection
        self._sealer = sealer

    async def heard(self, call_id: str) -> bool:
        """Note a provider's call; False if it was made before."""
        return await inbox.claim(self._connection, _CALLS, call_id)

    async def add(self, text: Text) -> None:
        """Keep a text."""
        sealed = self._sealer.seal(json.dumps([text.number, text.said]).encode())
        values = (*text[:5], text.reply.value, text.language, sealed, text.received_us, text.unknown, False, 0)
        await self._connection.execute(_ADD, (*values, text.received_us))

    async def next(self, now_us: int) -> Text | None:
        """Hold the text whose turn it is; None if there is none."""
        row = await (await self._connection.execute(_NEXT, (now_us,))).fetchone()
        return self._text(row) if row is not None else None

    async def lease(self, text_id: str, until_us: int) -> None:
        """Let nobody else take it up before a time."""
        await self._connection.execute(_LEASE, (until_us, text_id))

    async def known(self, text_id: str) -> None:
        """Note that whose number it is has been asked."""
        await self._connection.execute(_KNOWN, (text_id,))

    async def begun(self, text_id: str, begun: bool) -> None:
        """Note that an answer may have left, or has certainly not."""
        await self._connection.execute(_BEGUN, (begun, text_id))

    async def done(self, text_id: str) -> None:
        """Forget a text."""
        await self._connection.execute(_DONE, (text_id,))

    async def reviews(self, after: tuple[int, str], limit: int) -> list[Text]:
        """Return texts that somebody has to look at, the oldest first, those after a place."""
        rows = await (await self._connection.execute(_REVIEWS, (*after, limit))).fetchall()
        return [self._text(row) for row in rows]

    async def reviewed(self, text_id: str) -> Text | None:
        """Return a text that had to be looked at, and forget it; None if there is none."""
        row = await (await self._connection.execute(_REVIEWED, (text_id,))).fetchone()
        return self._text(row) if row is not None else None

    async def close(self, address_hash: bytes) -> None:
        """Forget the texts of a number that had to be looked at."""
        await self._connection.execute(_CLOSE, (address_hash,))

    async def waits(self, address_hash: bytes) -> bool:
        """Say whether a text of a number has still to be looked at."""
        return await (await self._connection.execute(_OPEN, (address_hash,))).fetchone() is not None

    def _text(self, row: Sequence[Any]) -> Text:
        text_id, hashed, profile_id, notification_id, brand_id, meaning, language, sealed, *rest = row
        number, said = json.loads(self._sealer.open(sealed))
        known = (text_id, hashed, profile_id, notification_id, brand_id, Reply(meaning), language)
        return Text(*known, number, said, *rest)
