"""Values of rows, read as the mapping says. Pure; a value that cannot be read is a fault, told without the value."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from google.type import date_pb2, money_pb2

from rapport_local.ingest.columns import Cell, Condition

Row = Mapping[str, str | None]
"""A row of a table: column -> what stands there, as text; None for nothing."""

_NANOS: Final = 10**9
_OWN_ID: Final = re.compile(r"[0-9A-Za-z]{8,40}")
_ID_DIGITS: Final = 24


class Fault(Exception):  # noqa: N818 - a fault of the data, not of the program
    """Something in a row that cannot be taken.

    Attributes:
        path: The field that it would have become.
        reason: What is wrong, without the value.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def text(cell: Cell | None, row: Row, path: str, *, required: bool = False) -> str:
    """Return what a cell says; empty for nothing.

    Raises:
        Fault: The mapping gives the value no meaning, or nothing stands where something must.
    """
    if cell is None:
        return ""
    found = cell.value or (row.get(cell.column) or "").strip()
    if cell.values and found:
        meaning = cell.values.get(found, cell.otherwise)
        if meaning is None:
            raise Fault(path, "is none of the values that the mapping names")
        found = meaning
    if required and not found:
        raise Fault(path, "is empty")
    return found


def moment(cell: Cell, row: Row, path: str, zone: ZoneInfo) -> datetime:
    """Return the instant that a cell names; one without an offset is of the zone.

    Raises:
        Fault: It is none, or empty.
    """
    written = text(cell, row, path, required=True)
    try:
        read = datetime.strptime(written, cell.format) if cell.format else datetime.fromisoformat(written)  # noqa: DTZ007
    except ValueError:
        raise Fault(path, f"is no time as {cell.format or 'ISO 8601'} has it") from None
    return (read if read.tzinfo else read.replace(tzinfo=zone)).astimezone(UTC)


def day(cell: Cell | None, row: Row, path: str) -> date_pb2.Date | None:
    """Return the date that a cell names, None for nothing.

    Raises:
        Fault: It is none.
    """
    written = text(cell, row, path)
    if cell is None or not written:
        return None
    try:
        read = datetime.strptime(written, cell.format).date() if cell.format else date.fromisoformat(written[:10])  # noqa: DTZ007
    except ValueError:
        raise Fault(path, f"is no date as {cell.format or 'ISO 8601'} has it") from None
    return date_pb2.Date(year=read.year, month=read.month, day=read.day)


def number(cell: Cell, row: Row, path: str) -> Decimal:
    """Return the number that a cell names, with a point for decimals.

    Raises:
        Fault: It is none, or empty.
    """
    written = text(cell, row, path, required=True)
    read = _decimal(written)
    if read is None:
        raise Fault(path, "is no number")
    return read


def whole(cell: Cell, row: Row, path: str) -> int:
    """Return the whole number that a cell names.

    Raises:
        Fault: It is none.
    """
    read = number(cell, row, path)
    if read != read.to_integral_value():
        raise Fault(path, "is no whole number")
    return int(read)


def money(amount: Decimal, currency: str) -> money_pb2.Money:
    """Return an amount as it is on the wire, rounded to nano units."""
    nanos = int((amount * _NANOS).to_integral_value(ROUND_HALF_EVEN))
    sign = -1 if nanos < 0 else 1
    units, rest = divmod(abs(nanos), _NANOS)
    return money_pb2.Money(currency_code=currency, units=sign * units, nanos=sign * rest)


def own_id(prefix: str, namespace: str, value: str) -> str:
    """Return the id under which a source's own code is known: the code itself if it has the form of an id, else a hash.

    The hash covers the namespace, so that number 1 of two sources are two things; it is the same at every import.
    """
    if _OWN_ID.fullmatch(value):
        return f"{prefix}_{value}"
    digest = hashlib.sha256(f"{prefix}\0{namespace}\0{value}".encode()).hexdigest()
    return f"{prefix}_{digest[:_ID_DIGITS]}"


def share_of(key: str, salt: str) -> float:
    """Return a number in [0, 1) that is drawn for a key, always the same one."""
    return int.from_bytes(hashlib.sha256(f"{salt}\0{key}".encode()).digest()[:8]) / 2**64


def belongs(row: Row, conditions: Iterable[Condition]) -> bool:
    """Return whether a row keeps all conditions."""
    return all(_keeps(row, condition) for condition in conditions)


def masked(value: str) -> str:
    """Return the shape of a value: letters as x, digits as 9."""
    return "".join("x" if each.isalpha() else "9" if each.isalnum() else each for each in value)


def _keeps(row: Row, condition: Condition) -> bool:
    found = (row.get(condition.column) or "").strip()
    if condition.present is not None:
        return bool(found) is condition.present
    if condition.one_of is not None:
        return found in condition.one_of
    if condition.none_of is not None:
        return found not in condition.none_of
    read = _decimal(found)
    if read is None:
        return True  # it is not left out in silence: reading it as a number will say what is wrong
    return (condition.above is None or read > Decimal(str(condition.above))) and (
        condition.below is None or read < Decimal(str(condition.below))
    )


def _decimal(written: str) -> Decimal | None:
    try:
        read = Decimal(written)
    except InvalidOperation:
        return None
    return read if read.is_finite() else None
