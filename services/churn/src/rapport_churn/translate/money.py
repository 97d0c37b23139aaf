"""Amounts: `google.type.Money` on the wire, whole minor units inside."""

from __future__ import annotations

from typing import Final

from google.type import money_pb2

# ISO 4217: all other currencies have two decimals.
_DECIMALS: Final = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
_NANOS: Final = 1_000_000_000


def decimals_of(currency: str) -> int:
    """Return how many decimals a currency has."""
    return _DECIMALS.get(currency, 2)


def minor_of(amount: money_pb2.Money, currency: str) -> int:
    """Return an amount in minor units, cut to whole ones; 0 for one in another currency, which cannot be added."""
    if amount.currency_code != currency:
        return 0
    unit = _unit(currency)
    return int(amount.units) * unit + int(amount.nanos) * unit // _NANOS


def money_of(minor: int, currency: str) -> money_pb2.Money:
    """Return an amount of zero or more as a message."""
    unit = _unit(currency)
    units, rest = divmod(minor, unit)
    return money_pb2.Money(currency_code=currency, units=units, nanos=rest * (_NANOS // unit))


def _unit(currency: str) -> int:
    """How many minor units make one."""
    unit: int = 10 ** decimals_of(currency)
    return unit
