"""Identifiers: a prefix that says what is named, then 22 random letters that say nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from types import MappingProxyType
from typing import Final

PREFIXES: Final = MappingProxyType(
    {
        "attempt": "att",
        "audit_entry": "aud",
        "campaign": "cam",
        "case": "cas",
        "constraint": "cst",
        "contact_point": "cnt",
        "decision": "dec",
        "erasure_certificate": "crt",
        "event": "evt",
        "experiment": "exp",
        "fact": "fct",
        "hold": "hld",
        "import": "imp",
        "ledger_event": "cev",
        "matcher": "mat",
        "model": "mdl",
        "notification": "ntf",
        "offer": "ofr",
        "operation": "op",
        "order": "ord",
        "privacy_request": "req",
        "product": "prd",
        "profile": "prf",
        "quote": "quo",
        "receipt": "rcp",
        "record": "rec",
        "review": "rvw",
        "subscription": "sub",
        "task": "tsk",
        "touchpoint": "tch",
        "trigger": "trg",
    }
)
"""What an id names -> the prefix it carries. The one table of the installation."""

PARTITIONS: Final = 16
"""How many partitions the events of a context are spread over."""

_LETTERS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LETTERS: Final = 22  # 131 bits
_DIGEST_BYTES: Final = 17
_FAIR: Final = 256 - 256 % len(_LETTERS)  # bytes below it fall on each letter equally often, the others are dropped
_LETTER_OF_BYTE: Final = bytes(_LETTERS[byte % len(_LETTERS)] for byte in range(256))
_UNFAIR_BYTES: Final = bytes(range(_FAIR, 256))
_DRAWN: Final = 30  # nearly always enough
_AT_ONCE: Final = 16


def new_id(kind: str) -> str:
    """Return a new opaque id for something of this kind.

    Args:
        kind: A key of `PREFIXES`.

    Raises:
        KeyError: The kind is not in the table.
    """
    prefix = PREFIXES[kind]
    letters = b""
    while len(letters) < _RANDOM_LETTERS:
        letters += os.urandom(_DRAWN).translate(_LETTER_OF_BYTE, _UNFAIR_BYTES)
    return f"{prefix}_{letters[:_RANDOM_LETTERS].decode()}"


def new_ids(kind: str) -> Iterator[str]:
    """Yield new ids as `new_id` does, without end; many cost a third of as many calls."""
    prefix = PREFIXES[kind]
    while True:
        letters = os.urandom(_DRAWN * _AT_ONCE).translate(_LETTER_OF_BYTE, _UNFAIR_BYTES).decode()
        for start in range(0, len(letters) - _RANDOM_LETTERS + 1, _RANDOM_LETTERS):
            yield f"{prefix}_{letters[start : start + _RANDOM_LETTERS]}"


def id_from(kind: str, digest: bytes) -> str:
    """Return the id that a digest comes to: the same for the same, and as opaque as the digest is.

    Args:
        kind: A key of `PREFIXES`.
        digest: At least 17 bytes; the first 17 of them count.
    """
    number = int.from_bytes(digest[:_DIGEST_BYTES], "big")
    letters = []
    for _ in range(_RANDOM_LETTERS):
        number, place = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[place])
    return f"{PREFIXES[kind]}_{bytes(letters).decode()}"


def partition(key: str) -> int:
    """Return the partition (0 to 15) of the events with this key: the first byte of SHA-256 of the key, modulo 16."""
    return sha256(key.encode()).digest()[0] % PARTITIONS
