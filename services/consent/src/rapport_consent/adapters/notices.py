"""Published notices, read from their authored versions."""

from __future__ import annotations

from typing import Final

from rapport.consent.v1 import purpose_pb2
from rapport_chassis.database.pool import Connection

from rapport_consent.domain.notices import Notice
from rapport_consent.translate import notice_of

KIND: Final = "notice"

_READ: Final = """
SELECT body FROM authored_versions
WHERE kind = 'notice' AND state = 'active' AND id = %(id)s AND (%(version)s = 0 OR version = %(version)s)
ORDER BY version DESC
"""


async def read(connection: Connection, notice_id: str, version: int, locale: str) -> Notice | None:
    """Return a published notice: the latest in the language for version 0, in any language if none is given."""
    async with connection.cursor() as cursor:
        await cursor.execute(_READ, {"id": notice_id, "version": version})
        async for (body,) in cursor:
            notice = notice_of(purpose_pb2.Notice.FromString(body))
            if locale in ("", notice.locale):
                return notice
    return None
