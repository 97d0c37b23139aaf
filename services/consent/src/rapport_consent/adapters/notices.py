"""Published notices, as authored versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rapport.consent.v1 import purpose_pb2
from rapport_chassis.authored import AuthoredStore
from rapport_chassis.database.pool import Connection

from rapport_consent.domain.notices import Notice
from rapport_consent.translate.notices import notice_message, notice_of

KIND: Final = "notice"

_READ: Final = """
SELECT version, body FROM authored_versions
WHERE kind = 'notice' AND state = 'active' AND id = %(id)s AND (%(version)s = 0 OR version = %(version)s)
ORDER BY version DESC
"""


async def read(connection: Connection, notice_id: str, version: int, locale: str) -> Notice | None:
    """Return a published notice: the latest in the language for version 0, in any language if none is given."""
    async with connection.cursor() as cursor:
        await cursor.execute(_READ, {"id": notice_id, "version": version})
        async for number, body in cursor:
            notice = replace(notice_of(purpose_pb2.Notice.FromString(body)), version=number)
            if locale in ("", notice.locale):
                return notice
    return None


async def publish(connection: Connection, notice: Notice, reason: str) -> Notice:
    """Publish the next version of a notice: active at once, then never changed. Return it with its number."""
    store = AuthoredStore(KIND)
    actor, now = notice.published_by, notice.published_at
    body = notice_message(notice).SerializeToString(deterministic=True)
    drafted = await store.draft(connection, notice.notice_id, body, actor=actor, now=now)
    await store.activate(connection, notice.notice_id, drafted.version, actor=actor, reason=reason, now=now)
    return replace(notice, version=drafted.version)
