"""Ids of contact points: the same as long as the value is held, and nothing to whoever has not the key."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from typing import Final

from rapport_chassis.ids import id_from

from rapport_identity.adapters.key_store import PostgresKeyStore

_KEY_ID: Final = b"contact points.."


class ContactIds:
    """Names contact points.

    Keys of hashes change over time; the key of these ids does not, because others keep them to know what bounced or
    what somebody unsubscribed.

    Args:
        keys: Where that key is.
    """

    def __init__(self, keys: PostgresKeyStore) -> None:
        self._keys = keys
        self._key = b""

    async def of(self, values: Collection[str]) -> dict[str, str]:
        """Return the id of each value.

        Raises:
            RapportError: NOT_READY.
        """
        if not self._key:
            self._key = await self._keys.lasting(_KEY_ID)
        key = self._key
        return {each: id_from("contact_point", hmac.digest(key, each.encode(), "sha256")) for each in values}
