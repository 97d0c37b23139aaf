"""Addresses that are given up, in PostgreSQL.

What is stronger stands: what a person said, then that an address is dead, then a pause.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_notification.domain.suppression import Suppressed, Suppression
from rapport_notification.domain.vocabulary import Channel

_RANK: Final = (
    "(array_position(ARRAY['soft', 'hard', 'complaint'], {0}.reason), coalesce({0}.until_us, 9223372036854775807))"
)
_ADD: Final = f"""
INSERT INTO suppressions (address_hash, channel, reason, since_us, until_us) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (address_hash, channel) DO UPDATE
    SET reason = excluded.reason, since_us = excluded.since_us, until_us = excluded.until_us
    WHERE {_RANK.format("excluded")} > {_RANK.format("suppressions")}
"""  # noqa: S608 - made of constants
_OF: Final = """
SELECT address_hash, channel, reason, since_us, until_us FROM suppressions WHERE address_hash = ANY (%s)
"""
_REMOVE: Final = "DELETE FROM suppressions WHERE address_hash = %s AND channel = %s"


async def add(connection: Connection, address_hash: bytes, channel: Channel, found: Suppression) -> None:
    """Give an address up; one that is given up for more, or for longer, stays as it is."""
    values = (address_hash, int(channel), found.reason.value, found.since_us, found.until_us)
    await connection.execute(_ADD.encode(), values)


async def of(connection: Connection, hashes: Collection[bytes]) -> dict[tuple[bytes, int], Suppression]:
    """Return those of these addresses that were given up, by hash and channel."""
    rows = await (await connection.execute(_OF, (sorted(hashes),))).fetchall()
    return {(row[0], row[1]): Suppression(Suppressed(row[2]), row[3], row[4]) for row in rows}


async def remove(connection: Connection, address_hash: bytes, channel: Channel) -> None:
    """Forget that an address was given up."""
    await connection.execute(_REMOVE, (address_hash, int(channel)))
