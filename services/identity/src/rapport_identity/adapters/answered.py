"""What requests were answered, for a whole batch in one statement.

The table is that of the chassis's request log, which sweeps it. No lock is needed here: whoever asks holds the lock of
the partition, so a call that was made twice at once finds the answer of the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.once import Request

from rapport_identity.adapters.bulk import Rows, Target, array

_EARLIER: Final = """
SELECT place, body_hash, answer
FROM unnest(%s::int[], %s::text[], %s::text[], %s::uuid[]) AS asked (place, caller, method, request_id)
JOIN requests USING (caller, method, request_id)
"""
_REQUESTS: Final = Rows(
    "requests",
    (("caller", "text"), ("method", "text"), ("request_id", "uuid"), ("body_hash", "bytea"), ("answer", "bytea")),
)


async def earlier(connection: Connection, asked: Sequence[Request]) -> list[bytes | RapportError | None]:
    """Return what each was answered before: None if it is new, REQUEST_ID_REUSED if its id came with another body."""
    answers: list[bytes | RapportError | None] = [None] * len(asked)
    columns = [array(column) for column in zip(*(each[:3] for each in asked), strict=True)]
    rows = await connection.execute(_EARLIER, (array(range(len(asked))), *columns)) if asked else None
    for place, body_hash, answer in await rows.fetchall() if rows else ():
        same = body_hash == sha256(asked[place].body).digest()
        answers[place] = answer if same else reused()
    return answers


async def keep(connection: Target, answers: Sequence[tuple[Request, bytes]]) -> None:
    """Keep what requests are answered, each once.

    Raises:
        psycopg.errors.UniqueViolation: One was answered before: it was not asked about under the lock.
    """
    rows = [
        (request.caller, request.method, UUID(request.request_id), sha256(request.body).digest(), answer)
        for request, answer in answers
    ]
    await _REQUESTS.write(connection, rows)


def reused() -> RapportError:
    """Return the refusal of a request id that came with another body."""
    return CHASSIS_ERRORS.error("REQUEST_ID_REUSED", "the request id was used with another request", field="request_id")
