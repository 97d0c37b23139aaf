"""Where browsers and systems listen: kept encrypted, opened for one call."""

from __future__ import annotations

import base64
import hmac
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rapport_chassis.database.pool import Connection
from rapport_chassis.ids import new_id

from rapport_notification.adapters.sealing import Sealer
from rapport_notification.domain.vocabulary import HOUR_US, Channel

PAUSE_AFTER: Final = 20
"""Refusals in a row after which an endpoint is left alone,"""
PAUSE_US: Final = 24 * HOUR_US
"""for so long."""

_COLUMNS: Final = "endpoint_id, profile_id, channel, host, sealed, registered_us, failures, paused_until_us"
_ADD: Final = """
INSERT INTO endpoints
    (endpoint_id, profile_id, channel, host, digest, sealed, registered_us, failures, paused_until_us)
VALUES (%s, %s, %s, %s, %s, %s, %s, 0, 0)
ON CONFLICT (digest) DO UPDATE SET sealed = excluded.sealed, failures = 0, paused_until_us = 0
RETURNING endpoint_id, registered_us
"""
_OF: Final = f"""
SELECT {_COLUMNS} FROM endpoints
WHERE profile_id = ANY(%s) AND (%s = 0 OR channel = %s) AND (registered_us, endpoint_id) < (%s, %s)
ORDER BY registered_us DESC, endpoint_id DESC LIMIT %s
"""  # noqa: S608 - made of constants
_GET: Final = f"SELECT {_COLUMNS} FROM endpoints WHERE endpoint_id = %s"  # noqa: S608 - made of constants
_REMOVE: Final = "DELETE FROM endpoints WHERE endpoint_id = %s"
_ANSWERED: Final = "UPDATE endpoints SET failures = 0, paused_until_us = 0 WHERE endpoint_id = %s AND failures > 0"
_FAILED: Final = """
UPDATE endpoints SET failures = failures + 1,
    paused_until_us = CASE WHEN failures + 1 >= %s THEN %s ELSE paused_until_us END
WHERE endpoint_id = %s AND failures < 30000
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registered listener.

    Attributes:
        endpoint_id: Which.
        profile_id: Whose, as named when it was registered.
        channel: WEB_PUSH or WEBHOOK.
        host: Its host.
        sealed: The rest, encrypted.
        registered_us: Since when.
        failures: Refusals in a row.
        paused_until_us: Until when it is left alone; 0 while it answers.
    """

    endpoint_id: str
    profile_id: str
    channel: Channel
    host: str
    sealed: bytes
    registered_us: int
    failures: int
    paused_until_us: int


class Secrets(NamedTuple):
    """What is needed to call an endpoint.

    Attributes:
        url: Its address.
        p256dh: Of a browser: its public key.
        auth: Of a browser: its secret.
        shared: Of a system: signs as v1.
        signing: Of a system: signs as v1a.
    """

    url: str
    p256dh: bytes
    auth: bytes
    shared: bytes
    signing: bytes


class EndpointStore:
    """Endpoints, under keys of their own.

    Args:
        keys: The newest first, which seals; all of them open.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._sealer = Sealer(keys)
        self._digest_key = keys[-1][:32]  # the oldest: a digest stands for an address as long as its row does

    async def register(
        self,
        connection: Connection,
        profile_id: str,
        channel: Channel,
        where: tuple[str, str],
        keys: tuple[bytes, bytes],
        now_us: int,
    ) -> tuple[Endpoint, str]:
        """Register a listener; the same again is renewed. Return it, and what a system verifies our calls with.

        Args:
            connection: The caller's transaction.
            profile_id: Whose.
            channel: WEB_PUSH or WEBHOOK.
            where: Host and URL; they were looked at.
            keys: Of a browser: its public key and its secret.
            now_us: When.
        """
        host, url = where
        signing = Ed25519PrivateKey.generate()
        system = channel is Channel.WEBHOOK
        secrets = Secrets(
            url,
            *keys,
            os.urandom(32) if system else b"",
            signing.private_bytes_raw() if system else b"",
        )
        sealed = self._seal(secrets)
        digest = hmac.digest(self._digest_key, f"{profile_id}\0{url}".encode(), "sha256")
        values = (new_id("subscription"), profile_id, int(channel), host, digest, sealed, now_us)
        row = await (await connection.execute(_ADD, values)).fetchone()
        assert row is not None
        made = Endpoint(row[0], profile_id, channel, host, sealed, row[1], 0, 0)
        public = base64.b64encode(signing.public_key().public_bytes_raw()).decode()
        shown = f"whsec_{base64.b64encode(secrets.shared).decode()} whpk_{public}" if system else ""
        return made, shown

    async def of(
        self,
        connection: Connection,
        profile_ids: Sequence[str],
        channel: Channel | None,
        before: tuple[int, str],
        limit: int,
    ) -> list[Endpoint]:
        """Return where somebody listens, the newest first, those before a place."""
        number = int(channel or 0)
        values = (list(profile_ids), number, number, *before, limit)
        return [_endpoint(row) for row in await (await connection.execute(_OF, values)).fetchall()]

    async def get(self, connection: Connection, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint; None if there is none."""
        row = await (await connection.execute(_GET, (endpoint_id,))).fetchone()
        return _endpoint(row) if row is not None else None

    async def remove(self, connection: Connection, endpoint_id: str) -> bool:
        """Take an endpoint back; False if there was none."""
        return (await connection.execute(_REMOVE, (endpoint_id,))).rowcount == 1

    async def answered(self, connection: Connection, endpoint_id: str, *, well: bool, now_us: int) -> None:
        """Note whether an endpoint took a call; one that never does is left alone for a while."""
        if well:
            await connection.execute(_ANSWERED, (endpoint_id,))
        else:
            await connection.execute(_FAILED, (PAUSE_AFTER, now_us + PAUSE_US, endpoint_id))

    def secrets(self, endpoint: Endpoint) -> Secrets:
        """Return what is needed to call an endpoint.

        Raises:
            ValueError: It was sealed with a key that is not there any more.
        """
        url, *rest = json.loads(self._sealer.open(endpoint.sealed))
        p256dh, auth, shared, signing = map(base64.b64decode, rest)
        return Secrets(url, p256dh, auth, shared, signing)

    def _seal(self, secrets: Secrets) -> bytes:
        held: list[Any] = [secrets.url, *(base64.b64encode(each).decode() for each in secrets[1:])]
        return self._sealer.seal(json.dumps(held).encode())


def _endpoint(row: Sequence[Any]) -> Endpoint:
    endpoint_id, profile_id, channel, *rest = row
    return Endpoint(endpoint_id, profile_id, Channel(channel), *rest)
