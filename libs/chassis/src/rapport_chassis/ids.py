"""Identifiers: a prefix that says what is named, then 22 random letters that say nothing."""

from __future__ import annotations

import secrets
from hashlib import sha256
from types import MappingProxyType
from typing import Final

PREFIXES: Final = MappingProxyType(
    {
        "attempt": "att",
        "audit_entry": "aud",
        "campaign": "cam",
        "case": "cas",
        "contact_point": "cnt",
        "decision": "dec",
        "erasure_certificate": "crt",
        "event": "evt",
        "experiment": "exp",
        "fact": "fct",
        "hold": "hld",
        "import": "imp",
        "ledger_event": "cev",
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
        "subscription": "sub",
        "task": "tsk",
        "touchpoint": "tch",
        "trigger": "trg",
    }
)
"""What an id names -> the prefix it carries. The one table of the installation."""

PARTITIONS: Final = 16
"""How many partitions the events of a context are spread over."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_RANDOM_LETTERS: Final = 22  # 131 bits
_SPACE: Final = 62**_RANDOM_LETTERS
_PAIR_SPACE: Final = 62**2


def new_id(kind: str) -> str:
    """Return a new opaque id for something of this kind.

    Args:
        kind: A key of `PREFIXES`.

    Raises:
        KeyError: The kind is not in the table.
    """
    prefix = PREFIXES[kind]
    number = secrets.randbelow(_SPACE)
    pairs: list[str] = []
    for _ in range(_RANDOM_LETTERS // 2):
        number, pair = divmod(number, _PAIR_SPACE)
        pairs.append(_PAIRS[pair])
    return f"{prefix}_{''.join(pairs)}"


def partition(key: str) -> int:
    """Return the partition (0 to 15) of the events with this key: the first byte of SHA-256 of the key, modulo 16."""
    return sha256(key.encode()).digest()[0] % PARTITIONS
