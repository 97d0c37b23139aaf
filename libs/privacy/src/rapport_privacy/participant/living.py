"""Who may still be written about: not the erased, whose tombstones are here, and nobody while a task acts for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

from google.protobuf.message import Message
from rapport_chassis.database.pool import Connection
from rapport_chassis.events.contract import describe
from rapport_chassis.events.envelope import Received
from rapport_chassis.events.intake import Handler

from rapport_privacy.participant.holding import Held, Subject
from rapport_privacy.participant.journal import Hold

STILL: Final = """
EXISTS (SELECT FROM privacy_freezes WHERE privacy_freezes.profile_id = {profile_id})
    OR EXISTS (SELECT FROM privacy_held WHERE privacy_held.profile_id = {profile_id})
"""
"""Condition of a statement: whether a request or a hold keeps the person of a row; `{profile_id}` is the column."""

# Two statements, not one: what is read after the lock must be read as it is then.
_SHARE: Final = """
SELECT pg_advisory_xact_lock_shared(hashtextextended('privacy:' || id, 0))
FROM (SELECT DISTINCT unnest(%s::text[]) AS id ORDER BY id) AS named
"""
_SECLUDE: Final = """
SELECT pg_advisory_xact_lock(hashtextextended('privacy:' || id, 0))
FROM (SELECT DISTINCT unnest(%s::text[]) AS id ORDER BY id) AS named
"""
_BURIED: Final = "SELECT profile_id FROM privacy_tombstones WHERE profile_id = ANY (%s)"
_BURY: Final = """
INSERT INTO privacy_tombstones (profile_id, request_id) SELECT unnest(%s::text[]), %s ON CONFLICT DO NOTHING
"""
_FROZEN: Final = "SELECT DISTINCT profile_id FROM privacy_freezes WHERE profile_id = ANY (%s)"
_FREEZE: Final = """
INSERT INTO privacy_freezes (profile_id, request_id) SELECT unnest(%s::text[]), %s ON CONFLICT DO NOTHING
"""
_THAW: Final = "DELETE FROM privacy_freezes WHERE request_id = %s"
_HOLD: Final = """
INSERT INTO privacy_held (hold_id, profile_id, store, record_ids, ground, until)
SELECT %s, unnest(%s::text[]), %s, %s, %s, %s ON CONFLICT DO NOTHING
"""
_UNHOLD: Final = "DELETE FROM privacy_held WHERE hold_id = %s"
_HOLDS: Final = """
SELECT DISTINCT store, record_ids, ground, until FROM privacy_held
WHERE profile_id = ANY (%s) AND (until IS NULL OR until > %s) ORDER BY ground
"""


async def writable(connection: Connection, profile_ids: Collection[str]) -> set[str]:
    """Return which of these ids may be written about until the transaction ends: those without a tombstone.

    Whoever takes in what names people asks this first, in the transaction of the effect: an erasure waits for that
    transaction to end and finds what it wrote, or was before it, and its tombstone is seen here.
    """
    if not profile_ids:
        return set()
    await connection.execute(_SHARE, (list(profile_ids),))
    return set(profile_ids) - await buried(connection, profile_ids)


async def buried(connection: Connection, profile_ids: Collection[str]) -> set[str]:
    """Return which of these ids have a tombstone; for reading alone, since one may be left the moment after."""
    rows = await (await connection.execute(_BURIED, (list(profile_ids),))).fetchall()
    return {profile_id for (profile_id,) in rows}


async def frozen(connection: Connection, profile_ids: Collection[str]) -> set[str]:
    """Return which of these ids a request holds still: nothing of them is purged, merged or moved."""
    rows = await (await connection.execute(_FROZEN, (list(profile_ids),))).fetchall()
    return {profile_id for (profile_id,) in rows}


def of_the_living(handler: Handler, events: Sequence[type[Message]]) -> Handler:
    """Return a handler that drops what still comes about erased people, and else does what the given one does.

    Args:
        handler: Brings about what an event means.
        events: The event messages it handles. An event goes by when any id that it names has a tombstone: for events
            of one person, that is, not for merges.
    """
    classes = {describe(each).name: each for each in events}

    async def handle(event: Received, connection: Connection) -> None:
        message = event.parse(classes[event.name])
        profile_ids = describe(type(message)).profiles(message)
        if len(await writable(connection, profile_ids)) == len(set(profile_ids)):
            await handler(event, connection)

    return handle


async def seclude(connection: Connection, subject: Subject) -> None:
    """Let nobody who asks `writable` write about a subject until the transaction ends."""
    await connection.execute(_SECLUDE, (subject.ids,))


async def bury(connection: Connection, subject: Subject) -> None:
    """Leave a tombstone for every id."""
    await connection.execute(_BURY, (subject.ids, subject.request_id))


async def freeze(connection: Connection, subject: Subject, profile_ids: Iterable[str] = ()) -> None:
    """Note that a request holds these ids still, those of the subject and further ones."""
    await connection.execute(_FREEZE, ([*subject.profile_ids, *profile_ids], subject.request_id))


async def thaw(connection: Connection, subject: Subject) -> None:
    """Forget what a request held still."""
    await connection.execute(_THAW, (subject.request_id,))


async def hold(connection: Connection, subject: Subject, held: Hold) -> None:
    """Note a legal hold."""
    for each in held.records:
        values = (held.hold_id, subject.ids, each.store, list(each.record_ids), held.ground, held.until)
        await connection.execute(_HOLD, values)


async def unhold(connection: Connection, held: Hold) -> None:
    """Forget a legal hold."""
    await connection.execute(_UNHOLD, (held.hold_id,))


async def holds(connection: Connection, subject: Subject, now: datetime) -> dict[str, Held]:
    """Return what live legal holds keep of a subject, by store; "" stands for every store."""
    rows = await (await connection.execute(_HOLDS, (subject.ids, now))).fetchall()
    found: dict[str, Held] = {}
    for store, record_ids, ground, until in rows:
        one = Held(not record_ids, tuple(record_ids), ground, until)
        found[store] = _both(found[store], one) if store in found else one
    return found


def _both(one: Held, other: Held) -> Held:
    until = None if one.until is None or other.until is None else max(one.until, other.until)
    record_ids = tuple(dict.fromkeys([*one.record_ids, *other.record_ids]))
    return Held(one.everything or other.everything, record_ids, one.ground, until)
