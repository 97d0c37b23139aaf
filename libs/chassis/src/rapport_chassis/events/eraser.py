"""Erasing a person's events from the context's own stream: found by the index, overwritten on disk by the broker."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from rapport_chassis.database.engine import Database
from rapport_chassis.events.envelope import EVENT_ID
from rapport_chassis.events.jetstream import JetStreamApi
from rapport_chassis.events.names import stream_name
from rapport_chassis.events.wire import Wire
from rapport_chassis.settings import NatsSettings
from rapport_chassis.telemetry.logs import get_logger

# One statement, so that both tables are read as of one moment: an event that the relay moves from one to the other
# between two looks would be found by neither.
_FIND: Final = """
SELECT event_id, sequence FROM published WHERE profile_ids && %(ids)s AND stream = %(stream)s
UNION ALL SELECT event_id, NULL FROM outbox WHERE profile_ids && %(ids)s
ORDER BY sequence
"""
# What must outlive the person: the fence itself, what merges did, and the course of the request.
_KEPT: Final = ("fence_raised.", "consents_", "privacy_")


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did in the stream.

    Attributes:
        deleted: Messages deleted and overwritten.
        gone: Messages of the index that were no longer there.
        kept: Messages that were left: another event now has the place, or it is of a kind that is never deleted.
        waiting: Events about the profiles that were not published yet: erase again once they are.
    """

    deleted: int
    gone: int
    kept: int
    waiting: int


class Eraser:
    """Deletes messages of one context's stream, as the user that may do nothing else.

    Args:
        context: The context whose stream it is.
        database: Holds the index.
        nats: Where the broker is, with the certificate of the context's eraser.
    """

    def __init__(self, context: str, *, database: Database, nats: NatsSettings) -> None:
        self._user = f"{context}-eraser"
        self._stream = stream_name(nats.stream_prefix, context)
        self._database = database
        self._nats = nats

    async def erase(self, profile_ids: Sequence[str], *, only: Collection[str] = ()) -> Erased:
        """Delete every published event about these profiles and forget it in the index; may be repeated.

        Args:
            profile_ids: The profiles.
            only: Names of the events that are deleted, where others about these profiles stay; empty for all.

        Raises:
            WireError: The broker cannot be reached; nothing is forgotten that was not deleted.
            RapportError: BROKER_UNAVAILABLE, NOT_READY.
            JetStreamError: The broker refused.
        """
        indexed, waiting = await self._find(profile_ids)
        counts = {"deleted": 0, "gone": 0, "kept": 0}
        wire = await Wire.open(self._nats, user=self._user)
        try:
            api = JetStreamApi(wire, domain=self._nats.domain)
            for event_id, sequence in indexed:
                outcome = await self._delete(api, event_id, sequence, only)
                counts[outcome] += 1
                if outcome != "kept":
                    await self._forget(event_id, sequence)
        finally:
            wire.close()
        get_logger().info("events_erased", stream=self._stream, count=counts["deleted"])
        return Erased(**counts, waiting=waiting)

    async def _find(self, profile_ids: Sequence[str]) -> tuple[list[tuple[str, int]], int]:
        async with self._database.transaction() as connection:
            found = await connection.execute(_FIND, {"ids": list(profile_ids), "stream": self._stream})
            rows = await found.fetchall()
        indexed = [(event_id, sequence) for event_id, sequence in rows if sequence is not None]
        return indexed, len(rows) - len(indexed)

    async def _delete(self, api: JetStreamApi, event_id: str, sequence: int, only: Collection[str]) -> str:
        stored = await api.get(self._stream, sequence)
        if stored is None:
            return "gone"
        name = stored.subject.split(".", 3)[-1]
        if stored.headers.get(EVENT_ID) != event_id or name.startswith(_KEPT):
            return "kept"
        if only and name.partition(".")[0] not in only:
            return "kept"
        return "deleted" if await api.delete(self._stream, sequence) else "gone"

    async def _forget(self, event_id: str, sequence: int) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(
                "DELETE FROM published WHERE event_id = %s AND stream = %s AND sequence = %s",
                [event_id, self._stream, sequence],
            )
