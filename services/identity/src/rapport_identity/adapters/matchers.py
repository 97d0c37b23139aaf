"""Matchers in PostgreSQL. The values whose frequencies they know are found by a keyed hash and can be listed by nobody.

Each matcher has a hash key of its own, kept in the key store like the key of a record: it is not concerned by a
rotation of the hash keys, and a dump that holds a matcher does not say what anybody is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS

from rapport_identity.adapters.crypto import Hasher
from rapport_identity.app.ports import KeyStore
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.matcher_json import dump, load

_WEIGHTS: Final = "SELECT body, key_id FROM matchers WHERE matcher_id = %s"


class HashedTerms(Mapping[str, float]):
    """Frequencies by value, of which only hashes are held.

    Args:
        column: The column.
        table: Frequencies by the hash of the value, as hexadecimal digits.
        hasher: Hashes under the matcher's key.
    """

    def __init__(self, column: str, table: Mapping[str, float], hasher: Hasher) -> None:
        self._column = column
        self.table = table
        self._hasher = hasher

    def __getitem__(self, value: str) -> float:
        """Return the frequency of a value."""
        return self.table[term_hash(self._hasher, self._column, value)]

    def __iter__(self) -> Iterator[str]:
        """Refuse: the values are not known."""
        raise TypeError("values under a keyed hash cannot be listed")

    def __len__(self) -> int:
        """How many values there are."""
        return len(self.table)


def term_hash(hasher: Hasher, column: str, value: str) -> str:
    """Return under what the frequency of a value is kept."""
    return hasher.term(0, f"{column}\0{value}").hex()


def hasher_of(key: bytes) -> Hasher:
    """Return what hashes under a matcher's key."""
    return Hasher(0, {0: key})


def hashed(matcher: Matcher, key: bytes) -> bytes:
    """Return the body of a matcher in which values stand under a keyed hash."""
    hasher = hasher_of(key)
    tables = {
        column: {term_hash(hasher, column, value): frequency for value, frequency in table.items()}
        for column, table in matcher.frequencies.items()
    }
    return dump(replace(matcher, frequencies=tables)).encode()


def opened(body: bytes, key: bytes) -> Matcher:
    """Return the matcher in a body."""
    matcher = load(body.decode())
    hasher = hasher_of(key)
    tables = {column: HashedTerms(column, table, hasher) for column, table in matcher.frequencies.items()}
    return replace(matcher, frequencies=tables)


async def sealed(connection: Connection, keys: KeyStore, matcher_id: str) -> tuple[bytes, bytes]:
    """Return the body of a matcher and the key of its hashes.

    Raises:
        RapportError: NOT_READY.
    """
    row = await (await connection.execute(_WEIGHTS, (matcher_id,))).fetchone()
    if row is None:
        raise CHASSIS_ERRORS.error("NOT_READY", "the matcher is not stored here")
    body, key_id = row
    secrets = await keys.get([key_id])
    if key_id not in secrets:
        raise CHASSIS_ERRORS.error("NOT_READY", "the key of a matcher is not in the key store")
    return body, secrets[key_id]


async def weights(connection: Connection, keys: KeyStore, matcher_id: str) -> Matcher:
    """Return the weights of a matcher.

    Raises:
        RapportError: NOT_READY.
    """
    return opened(*await sealed(connection, keys, matcher_id))
