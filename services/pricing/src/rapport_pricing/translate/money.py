"""Amounts: `google.type.Money` on the wire, whole minor units inside."""

from __future__ import annotations

from typing import Final

from google.type import money_pb2
from rapport_chassis.errors import RapportError

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.money import EXPONENTS, Money, of_units

_NANOS: Final = 1_000_000_000
_SCALES: Final = {currency: 10**exponent for currency, exponent in EXPONENTS.items()}


def minor_of(message: money_pb2.Money, currency: str, field: str) -> int:
    """Return an amount in minor units of a currency.

    Raises:
        RapportError: MONEY_INVALID; CURRENCY_MISMATCH: it is in another currency.
    """
    if message.currency_code != currency:
        raise ERRORS.error("CURRENCY_MISMATCH", f"must be in {currency}", field=field)
    return money_of(message, field).minor


def money_of(message: money_pb2.Money, field: str) -> Money:
    """Return an amount.

    Raises:
        RapportError: MONEY_INVALID.
    """
    try:
        return of_units(message.currency_code, message.units, message.nanos)
    except RapportError as error:
        raise ERRORS.error(error.reason.name, error.message, field=field) from error


def money_message(minor: int, currency: str) -> money_pb2.Money:
    """Return an amount as a message."""
    message = money_pb2.Money()
    set_money(message, minor, currency)
    return message


def set_money(message: money_pb2.Money, minor: int, currency: str) -> None:
    """Make a message say an amount: in place, since a message put into another is copied."""
    scale = _SCALES[currency]
    size = minor if minor >= 0 else -minor
    units, rest = divmod(size, scale)
    message.currency_code = currency
    if minor >= 0:
        message.units = units
        message.nanos = rest * (_NANOS // scale)
    else:
        message.units = -units
        message.nanos = -rest * (_NANOS // scale)
