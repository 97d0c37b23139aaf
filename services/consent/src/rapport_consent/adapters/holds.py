"""Legal holds in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from rapport.common.v1 import privacy_pb2
from rapport_chassis.database.pool import Connection

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.holds import Hold
from rapport_consent.translate.tasks import held_of, hold_message

_COLUMNS: Final = (
    "hold_id, task_request_id, profile_id, records, matter_id, ground, review_at, placed_at, placed_by, released_at, "
    "released_by"
)
_ADD: Final = f"INSERT INTO privacy_holds ({_COLUMNS}) VALUES ({', '.join(['%s'] * 11)})"  # noqa: S608
_RELEASE: Final = f"""
UPDATE privacy_holds SET released_at = %s, released_by = %s WHERE hold_id = %s AND released_at IS NULL
RETURNING {_COLUMNS}
"""  # noqa: S608
_OF: Final = f"""
SELECT {_COLUMNS} FROM privacy_holds WHERE profile_id = ANY (%s) ORDER BY hold_id
"""  # noqa: S608
_GET: Final = f"SELECT {_COLUMNS} FROM privacy_holds WHERE hold_id = %s"  # noqa: S608 - made of constants
_BY_TASKS: Final = f"SELECT {_COLUMNS} FROM privacy_holds WHERE task_request_id = %s"  # noqa: S608
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM privacy_holds
WHERE (%(profile_id)s = '' OR profile_id = %(profile_id)s) AND (%(released)s OR released_at IS NULL)
    AND (%(before)s::timestamptz IS NULL OR placed_at < %(before)s)
ORDER BY placed_at DESC LIMIT %(limit)s
"""  # noqa: S608


class HoldRows:
    """Holds, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, hold: Hold) -> None:
        """Enter a hold."""
        await self._connection.execute(
            _ADD,
            (
                hold.id,
                hold.task_request_id,
                hold.profile_id,
                hold_message(hold).SerializeToString(),
                hold.matter_id,
                hold.ground,
                hold.review_at,
                hold.placed_at,
                hold.placed_by,
                hold.released_at,
                hold.released_by,
            ),
        )

    async def release(self, hold_id: str, actor: str, now: datetime) -> Hold:
        """Release a hold.

        Raises:
            RapportError: HOLD_NOT_FOUND: there is none, or it is released.
        """
        row = await (await self._connection.execute(_RELEASE, (now, actor, hold_id))).fetchone()
        if row is None:
            raise ERRORS.error("HOLD_NOT_FOUND", "there is no such hold, or it is released", field="hold_id")
        return _hold(row)

    async def get(self, hold_id: str) -> Hold:
        """Return a hold.

        Raises:
            RapportError: HOLD_NOT_FOUND.
        """
        row = await (await self._connection.execute(_GET, (hold_id,))).fetchone()
        if row is None:
            raise ERRORS.error("HOLD_NOT_FOUND", "there is no such hold", field="hold_id")
        return _hold(row)

    async def of(self, profile_ids: Collection[str]) -> list[Hold]:
        """Return the holds on records of these ids, released ones included."""
        rows = await (await self._connection.execute(_OF, (list(profile_ids),))).fetchall()
        return [_hold(row) for row in rows]

    async def by_tasks(self, task_request_id: str) -> list[Hold]:
        """Return the hold whose tasks go under a request id."""
        return [_hold(row) for row in await (await self._connection.execute(_BY_TASKS, (task_request_id,))).fetchall()]

    async def page(self, profile_id: str, released: bool, after: datetime | None, limit: int) -> list[Hold]:
        """Return holds, the newest first."""
        values = {"profile_id": profile_id, "released": released, "before": after, "limit": limit}
        return [_hold(row) for row in await (await self._connection.execute(_PAGE, values)).fetchall()]


def _hold(row: Sequence[Any]) -> Hold:
    hold_id, task_request_id, profile_id, records, *rest = row
    held = held_of(privacy_pb2.LegalHold.FromString(records))
    return Hold(hold_id, task_request_id, profile_id, held, *rest)
