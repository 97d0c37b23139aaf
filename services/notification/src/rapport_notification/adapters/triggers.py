"""Triggers, those in force as this process knows them, and what they asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from rapport_chassis.authored import AuthoredStore, Version, VersionState
from rapport_chassis.clock import Clock
from rapport_chassis.database.pool import Connection

from rapport_notification.adapters.messages import MessageBook
from rapport_notification.adapters.rows import COLUMNS, cancel_keys, stored_in
from rapport_notification.adapters.watches import Watches
from rapport_notification.app.messages import Stored
from rapport_notification.domain.triggers import Fields, Trigger
from rapport_notification.translate.triggers import trigger_in

KEPT_S: Final = 1.0
"""How long a process goes by what it read of the triggers in force."""

_VERSIONS: Final = AuthoredStore("trigger")
_AT_ONCE: Final = 500
_SINCE: Final = """
SELECT 1 FROM notifications
WHERE recipient_id = ANY(%s) AND trigger_id = %s AND about_us > %s AND state NOT IN (7, 8, 9, 10)
    AND NOT (state IN (1, 2) AND supersede_key <> '' AND supersede_key = %s)
LIMIT 1
"""
_KEYED: Final = f"""
SELECT {COLUMNS} FROM notifications
WHERE recipient_id = ANY(%s) AND supersede_key IN (
    SELECT supersede_key FROM notifications WHERE recipient_id = ANY(%s) AND state IN (1, 2) AND supersede_key <> ''
) ORDER BY notification_id FOR UPDATE
"""  # noqa: S608 - made of constants
_AWAITING: Final = """
SELECT DISTINCT recipient_id FROM notifications
WHERE recipient_id = ANY (%s) AND state IN (1, 2) AND cancel_keys && %s::text[]
"""


class TriggerMessages(MessageBook):
    """The send ledger, and which trigger asked for what."""

    async def since(self, recipient_ids: Sequence[str], trigger_id: str, after_us: int, supersede_key: str) -> bool:
        """Say whether a trigger has spoken to a person of something after a time, and was not refused."""
        values = (list(recipient_ids), trigger_id, after_us, supersede_key)
        return await (await self.execute(_SINCE, values)).fetchone() is not None

    async def keyed(self, recipient_ids: Sequence[str]) -> list[Stored]:
        """Return a person's waiting messages that have a supersede key, and all others with these keys; hold them."""
        cursor = await self.execute(_KEYED, (list(recipient_ids), list(recipient_ids)))
        return [stored_in(row) for row in await cursor.fetchall()]

    async def awaiting(self, happened: Sequence[tuple[str, Fields]], recipient_ids: Sequence[str]) -> set[str]:
        """Return who of these has a waiting message that one of these events may make pointless: name and fields."""
        keys = sorted({key for name, fields in happened for key in cancel_keys(name, fields.items())})
        cursor = await self.execute(_AWAITING, (list(recipient_ids), keys))
        return {who for (who,) in await cursor.fetchall()}


class TriggersInForce:
    """What this process knows of the triggers in force; it reads them again every second.

    Args:
        clock: Paces.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._read_at: float | None = None
        self._versions: list[tuple[Version, Trigger]] = []

    def forget(self) -> None:
        """Read them again at once: a decision was made in this process."""
        self._read_at = None

    async def at(self, connection: Connection, now: datetime) -> Mapping[str, Sequence[Trigger]]:
        """Return the triggers in force at a time, by the event that they wait for."""
        if self._read_at is None or self._clock.boottime() - self._read_at > KEPT_S:
            self._versions = [(each, trigger_in(each)) for each in await _all_active(connection)]
            self._read_at = self._clock.boottime()
        latest: dict[str, tuple[Version, Trigger]] = {}
        for version, trigger in self._versions:
            if version.active_from is not None and version.active_from <= now:
                known = latest.get(version.id)
                if known is None or _order(version) > _order(known[0]):
                    latest[version.id] = version, trigger
        found: dict[str, list[Trigger]] = {}
        for _, trigger in latest.values():
            found.setdefault(trigger.event, []).append(trigger)
        return found


class TriggerVersions:
    """Versions of triggers in the caller's transaction.

    Args:
        connection: The transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, trigger_id: str, version: int) -> Version:
        """Return a version; 0 for the one drafted last.

        Raises:
            RapportError: VERSION_NOT_FOUND.
        """
        if not version:
            drafted = await _VERSIONS.list(self._connection, thing_id=trigger_id, limit=_AT_ONCE)
            version = drafted[-1].version if drafted else 1
        return await _VERSIONS.get(self._connection, trigger_id, version)

    async def draft(self, trigger_id: str, body: bytes, *, actor: str, now: datetime) -> Version:
        """Add a version, without effect yet."""
        return await _VERSIONS.draft(self._connection, trigger_id, body, actor=actor, now=now)

    async def activate(
        self, trigger_id: str, version: int, *, active_from: datetime | None, actor: str, reason: str, now: datetime
    ) -> Version:
        """Put a drafted version in force from a time on.

        Raises:
            RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID, INVALID_REQUEST.
        """
        return await _VERSIONS.activate(
            self._connection, trigger_id, version, actor=actor, reason=reason, now=now, active_from=active_from
        )

    async def pause(self, trigger_id: str, *, actor: str, reason: str, now: datetime) -> Version:
        """Take a trigger out of force, and write to nobody more for it.

        Raises:
            RapportError: VERSION_NOT_FOUND, VERSION_STATE_INVALID.
        """
        retired = await _VERSIONS.retire(self._connection, trigger_id, actor=actor, reason=reason, now=now)
        await Watches(self._connection).stop(trigger_id)
        return retired[-1]

    async def page(
        self, trigger_id: str, state: VersionState | None, after: tuple[str, int], limit: int
    ) -> list[Version]:
        """Return versions by trigger and version, those after a place."""
        return await _VERSIONS.list(self._connection, thing_id=trigger_id, state=state or "", after=after, limit=limit)


async def _all_active(connection: Connection) -> list[Version]:
    found: list[Version] = []
    after = ("", 0)
    while True:
        page = await _VERSIONS.list(connection, state="active", after=after, limit=_AT_ONCE)
        found += page
        if len(page) < _AT_ONCE:
            return found
        after = (page[-1].id, page[-1].version)


def _order(version: Version) -> tuple[datetime, datetime, int]:
    assert version.active_from is not None
    assert version.decided_at is not None
    return version.active_from, version.decided_at, version.version
