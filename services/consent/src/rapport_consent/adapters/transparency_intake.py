"""Takes events of privacy requests for the transparency log, in the transaction that they are about.

What is logged is a commitment: SHA-256 over a random salt and the canonical JSON of the record. The salt and the record
are kept beside the log until they are forgotten; from then on only whoever was handed them can show what was logged.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

import rfc8785
from rapport_chassis.database.pool import Connection
from rapport_privacy.log_proofs import commitment

from rapport_consent.domain.log_records import SALT_BYTES
from rapport_consent.domain.receipts import Json

_KEEP: Final = """
INSERT INTO transparency_openings (reference, request_id, salt, record) VALUES (%s, %s, %s, %s)
ON CONFLICT (reference) DO NOTHING RETURNING reference
"""
_QUEUE: Final = "INSERT INTO transparency_queue (reference, commitment) VALUES (%s, %s)"
_FORGET: Final = "DELETE FROM transparency_openings WHERE request_id = %s"


async def record(
    connection: Connection,
    *,
    reference: str,
    request_id: str,
    event: str,
    document: Mapping[str, Json],
    lasting: bool = False,
) -> None:
    """Have an event logged once the transaction is committed; nothing happens if the reference was recorded before.

    Args:
        connection: The transaction that the event is about.
        reference: Names the event for ever: an id such as `crt_…` or `tsk_…`, or `req_…/approved`.
        request_id: The privacy request it belongs to.
        event: What happened, as a code, for example "APPROVED", "PACKAGE_SEALED", "KEYS_DESTROYED", "CERTIFIED".
        document: What is committed to; numbers and times as text, nothing that names a person.
        lasting: Whether what opens the commitment outlives the request: of a certificate, which is shown for ever.
    """
    body = rfc8785.dumps({"event": event, "reference": reference, "request_id": request_id, **document})
    salt = secrets.token_bytes(SALT_BYTES)
    kept = await connection.execute(_KEEP, (reference, None if lasting else request_id, salt, body))
    if await kept.fetchone() is not None:
        await connection.execute(_QUEUE, (reference, commitment(salt, body)))


async def forget(connection: Connection, request_id: str) -> int:
    """Destroy what opens the commitments of a request, once the person has it; return how many there were."""
    return (await connection.execute(_FORGET, (request_id,))).rowcount
