"""A mutation sent twice takes effect once: its answer is kept under caller, method and request id (AIP-155).

    async with database.transaction() as connection:
        earlier = await requests.begin(connection, caller=…, method=…, request_id=…, body=…)
        if earlier is not None:
            return Answer.FromString(earlier)
        …the effect…
        await requests.finish(connection, …, answer=answer.SerializeToString())

Of two such transactions at the same time one holds an advisory lock and the other is told to come back. Should the
second begin in the instant in which the first commits, the primary key stops it in `finish`, and its effect with it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from psycopg import errors

from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError

KEPT: Final = timedelta(hours=24)
"""How long an answer is kept."""

SWEEP_ROWS: Final = 1000
"""Most rows that one sweep removes."""

_RETRY_AFTER_S: Final = 0.2

_BEGIN: Final = """
SELECT
    pg_try_advisory_xact_lock(
        hashtextextended(concat_ws(chr(31), %(caller)s::text, %(method)s::text, %(id)s::uuid), 0)
    ),
    requests.body_hash,
    requests.answer
FROM (VALUES (1)) AS always
LEFT JOIN requests ON caller = %(caller)s AND method = %(method)s AND request_id = %(id)s
"""
_FINISH: Final = "INSERT INTO requests (caller, method, request_id, body_hash, answer) VALUES (%s, %s, %s, %s, %s)"
_SWEEP: Final = """
DELETE FROM requests WHERE (caller, method, request_id) IN (
    SELECT caller, method, request_id FROM requests WHERE created_at < %s
    ORDER BY created_at LIMIT %s
)
"""


class RequestLog:
    """The answers of a service's mutations, in the table `requests`. One round trip for each method."""

    async def begin(
        self, connection: Connection, *, caller: str, method: str, request_id: str, body: bytes
    ) -> bytes | None:
        """Return the answer this request was given before, or None if it is new and the caller shall carry it out.

        Args:
            connection: In the transaction of the effect.
            caller: URI of the caller's certificate.
            method: Full name of the method.
            request_id: A UUID.
            body: The request, serialised deterministically.

        Raises:
            RapportError: REQUEST_ID_REUSED if the id came with another body, REQUEST_IN_PROGRESS with a time to retry
                after if the same request is being carried out, INVALID_REQUEST if the id is not a UUID.
        """
        key = {"caller": caller, "method": method, "id": _uuid(request_id)}
        cursor = await connection.execute(_BEGIN, key)
        row = await cursor.fetchone()
        assert row is not None
        alone, body_hash, answer = row
        if answer is None:
            if not alone:
                raise _in_progress()
            return None
        if body_hash != sha256(body).digest():
            raise CHASSIS_ERRORS.error(
                "REQUEST_ID_REUSED", "the request id was used with another request", field="request_id"
            )
        return bytes(answer)

    async def finish(
        self, connection: Connection, *, caller: str, method: str, request_id: str, body: bytes, answer: bytes
    ) -> None:
        """Keep the answer, as the last statement of the effect's transaction.

        Raises:
            RapportError: REQUEST_IN_PROGRESS: another transaction was faster; this one must not be committed.
        """
        try:
            await connection.execute(_FINISH, (caller, method, _uuid(request_id), sha256(body).digest(), answer))
        except errors.UniqueViolation:
            raise _in_progress() from None

    async def sweep(self, connection: Connection, now: datetime) -> int:
        """Forget up to `SWEEP_ROWS` answers older than `KEPT` and return how many."""
        return (await connection.execute(_SWEEP, (now - KEPT, SWEEP_ROWS))).rowcount


def _uuid(request_id: str) -> UUID:
    try:
        return UUID(request_id)
    except ValueError:
        raise CHASSIS_ERRORS.error("INVALID_REQUEST", "must be a UUID", field="request_id") from None


def _in_progress() -> RapportError:
    return CHASSIS_ERRORS.error(
        "REQUEST_IN_PROGRESS", "the same request is still running", retry_after_s=_RETRY_AFTER_S
    )
