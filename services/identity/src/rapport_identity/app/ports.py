"""What the use cases need of the outside, without saying how it is done."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple, Protocol


class DataKey(NamedTuple):
    """The key of one record's value.

    Attributes:
        key_id: 16 random bytes that name it.
        secret: The 32 bytes of the key. Never stored, logged or sent.
    """

    key_id: bytes
    secret: bytes

    def __repr__(self) -> str:
        """Keep the secret out of logs and errors."""
        return f"DataKey({self.key_id.hex()})"


class KeyStore(Protocol):
    """The data keys of all records, apart from the records: whoever holds only one of the two reads nothing.

    A key is durable before the value that it encrypts; one whose value never came is an orphan and is swept. A key
    that was destroyed is gone for ever, and with it every copy of the value, in backups too.
    """

    async def create(self, count: int) -> list[DataKey]:
        """Return so many fresh keys, durable when this returns.

        Raises:
            RapportError: NOT_READY.
        """
        ...

    async def get(self, key_ids: Collection[bytes]) -> Mapping[bytes, bytes]:
        """Return the secrets by key id; a key that is absent from the answer was destroyed.

        Raises:
            RapportError: NOT_READY: the store cannot be reached, or holds a key that cannot be unwrapped here. A key is
                never taken for destroyed because it could not be read.
        """
        ...

    async def destroy(self, key_ids: Collection[bytes]) -> int:
        """Destroy keys and return how many there were; repeating it does no harm.

        Raises:
            RapportError: NOT_READY. If the COMMIT was on its way, its outcome is unknown: repeat.
        """
        ...

    async def created_between(self, since: datetime, until: datetime, after: bytes, limit: int) -> list[bytes]:
        """Return ids of keys created from `since` until before `until`, in order, from the one after `after` on."""
        ...
