"""The request vault and one-time codes in PostgreSQL."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.database.pool import Connection

from rapport_consent.adapters.request_documents import read, written
from rapport_consent.adapters.sealing import Sealer
from rapport_consent.app.request_ports import Code
from rapport_consent.domain.vault import Vault

_PUT: Final = """
INSERT INTO privacy_vault (request_id, sealed) VALUES (%s, %s)
ON CONFLICT (request_id) DO UPDATE SET sealed = excluded.sealed
"""
_GET: Final = "SELECT sealed FROM privacy_vault WHERE request_id = %s"
_GIVE: Final = """
UPDATE privacy_vault SET notification_id = %s WHERE request_id = %s RETURNING sealed
"""
_WANT: Final = """
INSERT INTO privacy_codes (request_id, wanted_at) VALUES (%s, %s)
ON CONFLICT (request_id) DO UPDATE SET wanted_at = excluded.wanted_at, sent_at = NULL, codes = privacy_codes.codes + 1
WHERE privacy_codes.codes < %s AND privacy_codes.sent_at IS NOT NULL
"""
_WANTED: Final = """
SELECT request_id FROM privacy_codes WHERE sent_at IS NULL AND wanted_at <= %s
ORDER BY wanted_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_SENT: Final = """
UPDATE privacy_codes SET sent_at = %s, salt = %s, digest = %s, expires_at = %s, attempts = 0 WHERE request_id = %s
"""
_TRIED: Final = """
UPDATE privacy_codes SET attempts = attempts + 1 WHERE request_id = %s
RETURNING salt, digest, expires_at, attempts, codes
"""
_SPEND: Final = "UPDATE privacy_codes SET salt = NULL, digest = NULL, expires_at = NULL WHERE request_id = %s"
_POSTPONE: Final = "UPDATE privacy_codes SET wanted_at = wanted_at + %s WHERE request_id = %s"


class RequestVault:
    """What names requesters, in one transaction."""

    def __init__(self, connection: Connection, sealer: Sealer) -> None:
        self._connection = connection
        self._sealer = sealer

    async def put(self, request_id: str, vault: Vault) -> None:
        """Keep what names a requester, in place of what was kept."""
        content = json.dumps(written(vault)).encode()
        await self._connection.execute(_PUT, (request_id, self._sealer.seal(content, request_id)))

    async def get(self, request_id: str) -> Vault | None:
        """Return what is kept; None once it is destroyed."""
        row = await (await self._connection.execute(_GET, (request_id,))).fetchone()
        return self._opened(request_id, row[0]) if row else None

    async def give(self, request_id: str, notification_id: str) -> Vault | None:
        """Return what is kept, to a notification; None once it is destroyed."""
        row = await (await self._connection.execute(_GIVE, (notification_id, request_id))).fetchone()
        return self._opened(request_id, row[0]) if row else None

    async def destroy(self, request_id: str) -> None:
        """Destroy what is kept, the code included."""
        await self._connection.execute("DELETE FROM privacy_vault WHERE request_id = %s", (request_id,))
        await self._connection.execute("DELETE FROM privacy_codes WHERE request_id = %s", (request_id,))

    def _opened(self, request_id: str, sealed: bytes) -> Vault:
        return read(Vault, json.loads(self._sealer.open(bytes(sealed), request_id)))


class RequestCodes:
    """One-time codes, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def want(self, request_id: str, now: datetime, most: int) -> None:
        """Have a code sent, unless as many were sent as may be; whether one can be is found out later."""
        await self._connection.execute(_WANT, (request_id, now, most))

    async def next_wanted(self, now: datetime) -> str:
        """Return a request for which a code is to be sent, held until the transaction ends; empty if there is none."""
        row = await (await self._connection.execute(_WANTED, (now,))).fetchone()
        return row[0] if row else ""

    async def sent(self, request_id: str, now: datetime, code: Code | None) -> None:
        """Keep what was sent; None where nothing could be."""
        salt, digest, expires_at = (code.salt, code.digest, code.expires_at) if code else (None, None, None)
        await self._connection.execute(_SENT, (now, salt, digest, expires_at, request_id))

    async def postpone(self, request_id: str, by: timedelta) -> None:
        """Leave a request for later: others first."""
        await self._connection.execute(_POSTPONE, (by, request_id))

    async def tried(self, request_id: str) -> Code | None:
        """Count one attempt and return the code, held until the transaction ends; without a digest none is good."""
        row = await (await self._connection.execute(_TRIED, (request_id,))).fetchone()
        if row is None:
            return None
        salt, digest, expires_at, attempts, codes = row
        return Code(bytes(salt or b""), bytes(digest or b""), expires_at, attempts, codes)

    async def spend(self, request_id: str) -> None:
        """Have the code good for nothing any more."""
        await self._connection.execute(_SPEND, (request_id,))
