"""What the transparency log commits to: of the ledger each row, of privacy requests what happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from rapport_consent.domain.receipts import time_text

SALT_BYTES: Final = 32
"""Length of a salt: a record cannot be guessed from its commitment."""

LEDGER: Final = "ledger"
"""Kind of the leaf of a row of the consent ledger."""
PRIVACY: Final = "privacy"
"""Kind of the leaf of an event of a privacy request."""


def ledger_record(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a row of the ledger. Numbers and times are text; what is empty is left out.

    Args:
        columns: The row: times as datetime, `details` as they were stored, `change` as bytes.
    """
    record: dict[str, Any] = {}
    for name, value in columns.items():
        match value:
            case None | "":
                continue
            case datetime():
                record[name] = time_text(value)
            case bytes():
                record[f"{name}_sha256"] = sha256(value).hexdigest()
            case int():
                record[name] = str(value)
            case _:
                record[name] = value
    return record
