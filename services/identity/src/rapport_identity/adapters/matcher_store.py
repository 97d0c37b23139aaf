"""`Matchers`: which there are, which decides, and how far it has taken over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS

from rapport_identity.adapters import head
from rapport_identity.adapters.matchers import hashed, opened
from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.matchers import Activation, MatcherDraft, MatcherOrigin, Pending, Previewed, Version
from rapport_identity.app.ports import KeyStore
from rapport_identity.app.units import Unit
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.matcher_json import digest, load

_ADD: Final = """
INSERT INTO matchers (matcher_id, origin, sha256, body, key_id, trained_on, created_at)
VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp()) ON CONFLICT DO NOTHING
"""
_COLUMNS: Final = """
matchers.matcher_id, origin, sha256, body, key_id, trained_on, created_at,
    last.position, last.activated_at, last.activated_by, last.reason,
    CASE WHEN last.joined_to >= last.last_record THEN 0 ELSE
        (SELECT count(*) FROM records WHERE record_no > last.joined_to AND record_no <= last.last_record AND NOT erased)
    END,
    coalesce(last.position = (SELECT max(position) FROM matcher_activations), false)
FROM matchers LEFT JOIN LATERAL (SELECT * FROM matcher_activations AS each
    WHERE each.matcher_id = matchers.matcher_id ORDER BY position DESC LIMIT 1) AS last ON true
"""
_GET: Final = f"SELECT {_COLUMNS} WHERE matchers.matcher_id = %s"
_PAGE: Final = f"""
SELECT {_COLUMNS} WHERE (created_at, matchers.matcher_id) < (%s, %s)
ORDER BY created_at DESC, matchers.matcher_id DESC LIMIT %s
"""
_DECIDED_AT: Final = """
SELECT matcher_id FROM matcher_activations WHERE activated_at <= %s ORDER BY position DESC LIMIT 1
"""
_ACTIVATE: Final = """
INSERT INTO matcher_activations (position, matcher_id, activated_at, activated_by, reason, last_record, joined_to)
SELECT %(position)s, %(matcher)s, %(at)s, %(actor)s, %(reason)s, last, CASE WHEN %(first)s THEN last ELSE 0 END
FROM (SELECT coalesce(max(record_no), 0) AS last FROM records) AS records
"""
_PREVIEWED: Final = """
SELECT records_moved, as_of FROM matcher_previews WHERE matcher_id = %s AND against_matcher_id = %s
"""
_KEEP_PREVIEW: Final = """
INSERT INTO matcher_previews (matcher_id, against_matcher_id, records_moved, as_of) VALUES (%s, %s, %s, %s)
ON CONFLICT (matcher_id, against_matcher_id) DO UPDATE
SET records_moved = excluded.records_moved, as_of = excluded.as_of WHERE matcher_previews.as_of < excluded.as_of
"""
_UNFINISHED: Final = """
SELECT position, joined_to, last_record FROM (
    SELECT * FROM matcher_activations ORDER BY position DESC LIMIT 1) AS last WHERE joined_to < last_record
"""
_NEXT: Final = """
SELECT record_no FROM records WHERE record_no > %s AND record_no <= %s AND NOT erased ORDER BY record_no LIMIT %s
"""
_JOINED: Final = "UPDATE matcher_activations SET joined_to = %s WHERE position = %s"
_LATEST: Final = (datetime(9999, 1, 1, tzinfo=UTC), "")


class MatcherStore:
    """`Matchers`.

    Args:
        keys: Holds the keys of their hashes.
    """

    def __init__(self, keys: KeyStore) -> None:
        self._keys = keys

    async def draft(self, matcher: Matcher, origin: MatcherOrigin, *, trained_on: int = 0) -> MatcherDraft:
        """Make a matcher ready, before any transaction begins."""
        (key,) = await self._keys.create(1)
        return MatcherDraft(origin, digest(matcher), hashed(matcher, key.secret), key, trained_on)

    async def add(self, unit: Unit, matcher_id: str, draft: MatcherDraft) -> None:
        """Keep a matcher under an id; one that is there under it stays as it is."""
        row = (matcher_id, draft.origin.value, draft.sha256, draft.body, draft.key.key_id, draft.trained_on)
        await _on(unit).execute(_ADD, row)

    async def get(self, unit: Unit, matcher_id: str) -> Version | None:
        """Return a matcher."""
        row = await (await _on(unit).execute(_GET, (matcher_id,))).fetchone()
        return await self._version(row) if row is not None else None

    async def page(self, unit: Unit, after: tuple[datetime, str] | None, limit: int) -> Sequence[Version]:
        """Return matchers, the newest first, those after the given one, their frequencies left out."""
        rows = await (await _on(unit).execute(_PAGE, (*(after or _LATEST), limit))).fetchall()
        return [_version(row, replace(load(row[3].decode()), frequencies={}, unseen={})) for row in rows]

    async def decided_at(self, unit: Unit, moment: datetime) -> str:
        """Return the matcher that decided at a time; empty if none was stored by then."""
        row = await (await _on(unit).execute(_DECIDED_AT, (moment,))).fetchone()
        return row[0] if row is not None else ""

    async def activate(self, unit: Unit, matcher_id: str, *, actor: str, reason: str) -> None:
        """Let a matcher decide from the position that this unit writes. With the very first, all is joined already."""
        at = await head.lock(_on(unit))
        values = {"position": at.position + 1, "matcher": matcher_id, "at": at.recorded_at, "actor": actor}
        await _on(unit).execute(_ACTIVATE, {**values, "reason": reason, "first": not at.matcher_id})
        await head.use_matcher(_on(unit), matcher_id)

    async def previewed(self, unit: Unit, matcher_id: str, against: str) -> Previewed | None:
        """Return the last preview of a matcher against another."""
        row = await (await _on(unit).execute(_PREVIEWED, (matcher_id, against))).fetchone()
        return Previewed(*row) if row is not None else None

    async def keep_preview(self, unit: Unit, matcher_id: str, against: str, previewed: Previewed) -> None:
        """Keep what a preview found."""
        await _on(unit).execute(_KEEP_PREVIEW, (matcher_id, against, previewed.records_moved, previewed.as_of))

    async def pending(self, unit: Unit, limit: int) -> Pending | None:
        """Return the next records that are not joined by the matcher that decides; None if all are."""
        row = await (await _on(unit).execute(_UNFINISHED)).fetchone()
        if row is None:
            return None
        position, joined_to, last = row
        rows = await (await _on(unit).execute(_NEXT, (joined_to, last, limit))).fetchall()
        numbers = tuple(number for (number,) in rows)
        return Pending(position, numbers, numbers[-1] if len(numbers) == limit else last)

    async def joined(self, unit: Unit, pending: Pending) -> None:
        """Note that these records are joined by it."""
        await _on(unit).execute(_JOINED, (pending.joined_to, pending.activation))

    async def _version(self, row: Sequence[Any]) -> Version:
        body, key_id = row[3], row[4]
        secrets = await self._keys.get([key_id])
        if key_id not in secrets:
            raise CHASSIS_ERRORS.error("NOT_READY", "the key of a matcher is not in the key store")
        return _version(row, opened(body, secrets[key_id]))


def _version(row: Sequence[Any], matcher: Matcher) -> Version:
    matcher_id, origin, sha256, _, _, trained_on, created_at, position, at, actor, reason, pending, deciding = row
    activation = None if position is None else Activation(position, matcher_id, at, actor, reason, pending)
    return Version(matcher_id, MatcherOrigin(origin), sha256, matcher, trained_on, created_at, activation, deciding)


def _on(unit: Unit) -> Connection:
    assert isinstance(unit, ResolvingUnit)
    return unit.connection
