"""Authored things: an immutable version is drafted, activated from a time by an actor with a reason, retired.

In force at a time is the version with the latest activation up to then; the one before it simply ends there. Retiring
takes a thing out of force whole: what was active stops, what was scheduled never starts. The database itself refuses
to change a version's body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError, Resource

VersionState = Literal["draft", "active", "retired"]

_COLUMNS: Final = (
    "id, version, state, body, created_at, created_by, active_from, decided_by, decided_at, reason,"
    " retired_from, retired_by, retire_reason"
)
_NUMBER: Final = "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(chr(31), 'authored', %s::text, %s::text), 0))"
_DRAFT: Final = f"""
INSERT INTO authored_versions (kind, id, version, state, body, created_at, created_by)
SELECT %(kind)s, %(id)s, coalesce(max(version), 0) + 1, 'draft', %(body)s, %(now)s, %(actor)s
FROM authored_versions WHERE kind = %(kind)s AND id = %(id)s
RETURNING {_COLUMNS}
"""  # noqa: S608
_ACTIVATE: Final = f"""
UPDATE authored_versions
SET state = 'active', active_from = %(from)s, decided_by = %(actor)s, decided_at = %(now)s, reason = %(reason)s
WHERE kind = %(kind)s AND id = %(id)s AND version = %(version)s AND state = 'draft'
RETURNING {_COLUMNS}
"""  # noqa: S608
_RETIRE: Final = f"""
UPDATE authored_versions
SET state = 'retired', retired_from = %(now)s, retired_by = %(actor)s, retired_at = %(now)s, retire_reason = %(reason)s
WHERE kind = %(kind)s AND id = %(id)s AND state = 'active'
RETURNING {_COLUMNS}
"""  # noqa: S608
_GET: Final = f"SELECT {_COLUMNS} FROM authored_versions WHERE kind = %s AND id = %s AND version = %s"  # noqa: S608
_LIST: Final = f"""
SELECT {_COLUMNS} FROM authored_versions
WHERE kind = %(kind)s AND (id, version) > (%(after_id)s, %(after_version)s)
    AND (%(id)s = '' OR id = %(id)s) AND (%(state)s = '' OR state = %(state)s)
ORDER BY id, version LIMIT %(limit)s
"""  # noqa: S608
# Retired before it began, a version never was in force and hides none.
_ACTIVE_AT: Final = f"""
SELECT {_COLUMNS} FROM authored_versions
WHERE kind = %(kind)s AND id = %(id)s AND active_from <= %(at)s
    AND (retired_from IS NULL OR retired_from > active_from)
ORDER BY active_from DESC, decided_at DESC, version DESC LIMIT 1
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an authored thing.

    Attributes:
        id: The thing's id, chosen by its author.
        version: Rises by one with each draft.
        state: What was last decided; an active version is in force until a later one is.
        body: What was authored, serialised.
        created_at: When it was drafted.
        created_by: Who drafted it.
        active_from: From when it is in force.
        decided_by: Who activated it.
        decided_at: When that was decided.
        reason: Why.
        retired_from: From when it has no effect again.
        retired_by: Who retired it.
        retire_reason: Why.
    """

    id: str
    version: int
    state: VersionState
    body: bytes
    created_at: datetime
    created_by: str
    active_from: datetime | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    retired_from: datetime | None = None
    retired_by: str | None = None
    retire_reason: str | None = None

    @classmethod
    def of(cls, row: Sequence[Any]) -> Version:
        """Return the version in a row, its times in UTC."""
        values: list[Any] = [value.astimezone(UTC) if isinstance(value, datetime) else value for value in row]
        return cls(*values)


class AuthoredStore:
    """The versions of one kind of thing, in the table `authored_versions`. All methods join the caller's transaction.

    Args:
        kind: What is authored, for example "purpose".
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    async def draft(self, connection: Connection, thing_id: str, body: bytes, *, actor: str, now: datetime) -> Version:
        """Add a version, without effect yet. Drafts of one thing at the same time wait for one another."""
        await connection.execute(_NUMBER, (self._kind, thing_id))
        values = {"kind": self._kind, "id": thing_id, "body": body, "actor": actor, "now": now}
        row = await (await connection.execute(_DRAFT, values)).fetchone()
        assert row is not None
        return Version.of(row)

    async def activate(
        self,
        connection: Connection,
        thing_id: str,
        version: int,
        *,
        actor: str,
        reason: str,
        now: datetime,
        active_from: datetime | None = None,
    ) -> Version:
        """Put a drafted version in force, from `now` unless a later time is given.

        Raises:
            RapportError: VERSION_NOT_FOUND; VERSION_STATE_INVALID if it is no draft any more; INVALID_REQUEST if the
                time or the reason is missing or lies in the past.
        """
        begin = active_from or now
        if begin < now:
            raise _invalid("active_from", "must not be in the past")
        if not reason:
            raise _invalid("reason", "must not be empty")
        values = {"kind": self._kind, "id": thing_id, "version": version, "actor": actor, "reason": reason}
        row = await (await connection.execute(_ACTIVATE, {**values, "now": now, "from": begin})).fetchone()
        if row is None:
            present = await self.get(connection, thing_id, version)
            raise self._error(
                "VERSION_STATE_INVALID", f"the version is {present.state}, not a draft", thing_id, version
            )
        return Version.of(row)

    async def retire(
        self, connection: Connection, thing_id: str, *, actor: str, reason: str, now: datetime
    ) -> list[Version]:
        """Take a thing out of force, what is scheduled included, and return the versions concerned.

        Raises:
            RapportError: VERSION_NOT_FOUND if there is no such thing; VERSION_STATE_INVALID if none of its versions is
                active; INVALID_REQUEST if the reason is missing.
        """
        if not reason:
            raise _invalid("reason", "must not be empty")
        values = {"kind": self._kind, "id": thing_id, "actor": actor, "reason": reason, "now": now}
        rows = await (await connection.execute(_RETIRE, values)).fetchall()
        if not rows:
            await self.get(connection, thing_id, 1)
            raise self._error("VERSION_STATE_INVALID", "no version is active", thing_id)
        return sorted(map(Version.of, rows), key=lambda version: version.version)

    async def get(self, connection: Connection, thing_id: str, version: int) -> Version:
        """Return one version.

        Raises:
            RapportError: VERSION_NOT_FOUND.
        """
        row = await (await connection.execute(_GET, (self._kind, thing_id, version))).fetchone()
        if row is None:
            raise self._error("VERSION_NOT_FOUND", "there is no such version", thing_id, version)
        return Version.of(row)

    async def list(
        self,
        connection: Connection,
        *,
        thing_id: str = "",
        state: VersionState | Literal[""] = "",
        after: tuple[str, int] = ("", 0),
        limit: int = 100,
    ) -> list[Version]:
        """Return versions by id and version, those after the given one; of one thing or in one state if asked."""
        values = {"kind": self._kind, "id": thing_id, "state": state, "limit": limit}
        cursor = await connection.execute(_LIST, {**values, "after_id": after[0], "after_version": after[1]})
        return [Version.of(row) for row in await cursor.fetchall()]

    async def active_at(self, connection: Connection, thing_id: str, at: datetime) -> Version | None:
        """Return the version in force at a time, past or to come as decided so far; None if there is none."""
        values = {"kind": self._kind, "id": thing_id, "at": at}
        row = await (await connection.execute(_ACTIVE_AT, values)).fetchone()
        latest = Version.of(row) if row is not None else None
        if latest is not None and latest.retired_from is not None and latest.retired_from <= at:
            return None
        return latest

    def _error(self, reason: str, message: str, thing_id: str, version: int | None = None) -> RapportError:
        name = thing_id if version is None else f"{thing_id}@{version}"
        return CHASSIS_ERRORS.error(reason, message, resource=Resource(self._kind, name))


def _invalid(field: str, description: str) -> RapportError:
    return CHASSIS_ERRORS.error("INVALID_REQUEST", description, field=field)
