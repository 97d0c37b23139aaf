"""Values of templates: as messages of the contract, and as the rules check them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from rapport.notification.v1 import content_pb2

from rapport_notification.domain.errors import ERRORS

_NANO: Final = Decimal("0.000000001")
# What is in the form of an address, or has as many digits in a row as a telephone number.
_SOMEBODY: Final = re.compile(r"[^\s@]@[^\s@]+\.[^\s@]|(?:\+|00)[1-9](?:[ ./()-]?[0-9]){7,}")


def content_of(values: Mapping[str, content_pb2.ContentValue]) -> bytes:
    """Return values in the one form in which they are kept.

    Raises:
        RapportError: VALUE_NAMES_SOMEBODY.
    """
    row = content_pb2.ContentRow()
    for name in sorted(values):
        _refuse_names(values[name], f"variables.{name}")
        row.values[name].CopyFrom(values[name])
    return row.SerializeToString(deterministic=True)


def values_in(content: bytes) -> dict[str, Any]:
    """Return kept values as `domain.contents.checked` takes them."""
    return _row(content_pb2.ContentRow.FromString(content))


def _row(row: content_pb2.ContentRow) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.values.items()}


def _value(value: content_pb2.ContentValue) -> Any:
    match value.WhichOneof("value"):
        case "money":
            amount = Decimal(value.money.units) + value.money.nanos * _NANO
            return (amount, value.money.currency_code)
        case "date":
            try:
                return date(value.date.year, value.date.month, value.date.day)
            except ValueError:
                return None
        case "rows":
            return [_row(row) for row in value.rows.rows]
        case None:
            return None
        case kind:
            return getattr(value, kind)


def _refuse_names(value: content_pb2.ContentValue, path: str) -> None:
    if value.HasField("rows"):
        for number, row in enumerate(value.rows.rows):
            for name, held in row.values.items():
                _refuse_names(held, f"{path}.rows[{number}].{name}")
    elif value.WhichOneof("value") in {"text", "url"} and _SOMEBODY.search(value.text or value.url):
        raise ERRORS.error(
            "VALUE_NAMES_SOMEBODY", "a message is kept without what names people: ids, amounts and titles", field=path
        )
