"""Profiles, and every id ever issued with what it stands for now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rapport_chassis.database.pool import Connection

from rapport_identity.adapters.bulk import Change, Rows, Target, array
from rapport_identity.adapters.head import Head
from rapport_identity.app.stored import ProfileStatus, StoredProfile, Times
from rapport_identity.translate.events import state_bytes, state_in

_PROFILES: Final = Rows(
    "profiles",
    (
        ("profile_id", "text"),
        ("version", "int8"),
        ("status", "text"),
        ("state", "bytea"),
        ("position", "int8"),
        ("created_at", "timestamptz"),
        ("updated_at", "timestamptz"),
    ),
)
_REDIRECTS: Final = Rows("redirects", (("issued_id", "text"), ("profile_id", "text")))
_CHANGE: Final = """
UPDATE profiles SET version = new.version, status = new.status, state = new.state, position = %s, updated_at = %s
FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bytea[]) AS new (profile_id, version, status, state)
WHERE profiles.profile_id = new.profile_id AND profiles.version < new.version
RETURNING 1
"""
_REDIRECT: Final = """
UPDATE redirects SET profile_id = new.profile_id FROM unnest(%s::text[], %s::text[]) AS new (issued_id, profile_id)
WHERE redirects.issued_id = new.issued_id
RETURNING 1
"""
_COLUMNS: Final = "profile_id, version, status, state"
_CURRENT: Final = "SELECT issued_id, profile_id FROM redirects WHERE issued_id = ANY (%s)"
_REDIRECTING: Final = """
SELECT profile_id, issued_id FROM redirects WHERE profile_id = ANY (%s) AND profile_id <> issued_id ORDER BY issued_id
"""
_GET: Final = f"SELECT {_COLUMNS} FROM profiles WHERE profile_id = ANY (%s)"  # noqa: S608
# Each profile, and each that redirects to one, with what it redirects to.
_STANDING: Final = f"""
SELECT NULL AS stands_for, {_COLUMNS} FROM profiles WHERE profile_id = ANY (%(ids)s)
UNION ALL SELECT stands_for, {_COLUMNS} FROM profiles
JOIN (SELECT issued_id, profile_id AS stands_for FROM redirects WHERE profile_id = ANY (%(ids)s)) AS redirected
ON issued_id = profile_id AND issued_id <> stands_for
"""  # noqa: S608 - made of constants
_SINCE: Final = f"""
SELECT {_COLUMNS} FROM profiles WHERE position > %s AND position <= %s ORDER BY position, profile_id
"""  # noqa: S608 - made of constants
_VERSIONS: Final = "SELECT profile_id, version FROM profiles WHERE status IN ('active', 'frozen')"
_TIMES: Final = "SELECT profile_id, created_at, updated_at FROM profiles WHERE profile_id = ANY (%s)"
_AFTER: Final = f"""
SELECT {_COLUMNS} FROM profiles
WHERE profile_id > %s AND status IN ('active', 'frozen') AND (%s::timestamptz IS NULL OR updated_at >= %s)
ORDER BY profile_id LIMIT %s
"""  # noqa: S608 - made of constants
_ID_MAP: Final = """
SELECT issued_id, profile_id FROM redirects WHERE issued_id > %s ORDER BY issued_id LIMIT %s
"""


async def create(connection: Target, head: Head, profiles: Sequence[StoredProfile]) -> None:
    """Write new profiles, whose ids are issued by it, at the next position."""
    at = head.recorded_at
    rows = [
        (each.profile_id, each.version, each.status.value, state_bytes(each.state), head.position + 1, at, at)
        for each in profiles
    ]
    await _PROFILES.write(connection, rows)
    await _REDIRECTS.write(connection, [(each.profile_id, each.profile_id) for each in profiles])


async def change(connection: Target, head: Head, profiles: Sequence[StoredProfile]) -> None:
    """Write new versions of profiles at the next position.

    Raises:
        RuntimeError: One of them does not exist, or its version would not rise: a fault of the caller.
    """
    columns = [(each.profile_id, each.version, each.status.value, state_bytes(each.state)) for each in profiles]
    values = (head.position + 1, head.recorded_at, *map(array, zip(*columns, strict=True)))
    await Change(_CHANGE, values, len(profiles), "the version of a profile must rise").write(connection)


async def redirect(connection: Target, current: Mapping[str, str]) -> None:
    """Say what issued ids stand for from now on. All ids of a profile are redirected together: there is one hop.

    Raises:
        RuntimeError: One of the ids was never issued: a fault of the caller.
    """
    values = array(current), array(current.values())
    await Change(_REDIRECT, values, len(current), "only an id that was issued can be redirected").write(connection)


async def current(connection: Connection, issued_ids: Collection[str]) -> dict[str, str]:
    """Return what each of these ids stands for now; one that was never issued is left out."""
    return dict(await (await connection.execute(_CURRENT, (list(issued_ids),))).fetchall())


async def redirecting(connection: Connection, profile_ids: Collection[str]) -> dict[str, list[str]]:
    """Return for each of these profiles every id that redirects to it; its own is not among them."""
    found: dict[str, list[str]] = {profile_id: [] for profile_id in profile_ids}
    rows = await connection.execute(_REDIRECTING, (list(profile_ids),))
    for profile_id, issued_id in await rows.fetchall():
        found[profile_id].append(issued_id)
    return found


async def standing(
    connection: Connection, profile_ids: Collection[str]
) -> tuple[dict[str, list[str]], dict[str, StoredProfile]]:
    """Return for each of these profiles every id that redirects to it, and the profiles with all these ids."""
    redirecting_: dict[str, list[str]] = {profile_id: [] for profile_id in profile_ids}
    stored: dict[str, StoredProfile] = {}
    for stands_for, *row in await (await connection.execute(_STANDING, {"ids": list(profile_ids)})).fetchall():
        profile = _profile(row)
        stored[profile.profile_id] = profile
        if stands_for is not None:
            redirecting_[stands_for].append(profile.profile_id)
    return {each: sorted(ids) for each, ids in redirecting_.items()}, stored


async def get(connection: Connection, profile_ids: Collection[str]) -> dict[str, StoredProfile]:
    """Return the profiles with exactly these ids, those merged and erased too."""
    rows = await (await connection.execute(_GET, (list(profile_ids),))).fetchall()
    return {row[0]: _profile(row) for row in rows}


async def versions(connection: Connection) -> dict[str, int]:
    """Return the version of every profile that its own id stands for."""
    return dict(await (await connection.execute(_VERSIONS)).fetchall())


async def times(connection: Connection, profile_ids: Collection[str]) -> dict[str, Times]:
    """Return when each of these profiles was made and last changed."""
    rows = await (await connection.execute(_TIMES, (list(profile_ids),))).fetchall()
    return {profile_id: Times(*times) for profile_id, *times in rows}


async def after(connection: Connection, profile_id: str, since: datetime | None, limit: int) -> list[StoredProfile]:
    """Return profiles that stand for somebody, by id, after this one; only those that changed since a time."""
    rows = await (await connection.execute(_AFTER, (profile_id, since, since, limit))).fetchall()
    return [_profile(row) for row in rows]


async def since(connection: Connection, position: int, until: int) -> list[StoredProfile]:
    """Return the profiles whose present version was written after one position and up to another."""
    rows = await (await connection.execute(_SINCE, (position, until))).fetchall()
    return [_profile(row) for row in rows]


async def id_map(connection: Connection, after: str, limit: int) -> list[tuple[str, str]]:
    """Return ids ever issued, from the one after `after` on, each with what it stands for, in order."""
    rows = await (await connection.execute(_ID_MAP, (after, limit))).fetchall()
    return [(issued_id, profile_id) for issued_id, profile_id in rows]


def _profile(row: Sequence[Any]) -> StoredProfile:
    profile_id, version, status, state = row
    return StoredProfile(profile_id, version, ProfileStatus(status), state_in(state))
