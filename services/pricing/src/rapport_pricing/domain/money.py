"""Money: integer minor units of an ISO 4217 currency, rounded once, at a declared point, in a declared way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from rapport_pricing.domain.errors import ERRORS

_OF_TWO: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN "
    "NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
_OF_NONE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_OF_THREE: Final = "BHD IQD JOD KWD LYD OMR TND"

EXPONENTS: Final = MappingProxyType(
    dict.fromkeys(_OF_TWO.split(), 2) | dict.fromkeys(_OF_NONE.split(), 0) | dict.fromkeys(_OF_THREE.split(), 3)
)
"""Currency -> how many decimal places its minor unit has (ISO 4217)."""

MAX_AMOUNT: Final = 2**53
"""Bound of an amount in minor units: exact in every language that reads it."""

PPM: Final = 1_000_000
"""Rates are parts of a million, so that 8.875 % is a whole number."""

_NANOS: Final = 1_000_000_000


class Rounding(Enum):
    """How a fraction of a minor unit becomes a whole one."""

    DOWN = "down"
    UP = "up"
    HALF_UP = "half_up"
    HALF_EVEN = "half_even"


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of a currency, in its minor unit.

    Raises:
        RapportError: MONEY_INVALID, the currency is unknown or the amount out of bounds.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent_of(self.currency)
        if abs(self.minor) > MAX_AMOUNT:
            raise ERRORS.error("MONEY_INVALID", "the amount is out of bounds")

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise ERRORS.error("CURRENCY_MISMATCH", f"{self.currency} meets {other.currency}")
        return other.minor


def exponent_of(currency: str) -> int:
    """Return how many decimal places a currency has.

    Raises:
        RapportError: MONEY_INVALID, no such currency.
    """
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise ERRORS.error("MONEY_INVALID", "not a currency of ISO 4217")
    return exponent


def of_units(currency: str, units: int, nanos: int) -> Money:
    """Read what `google.type.Money` holds.

    Raises:
        RapportError: MONEY_INVALID: unknown currency, signs that differ, nanos out of range, or less than a minor unit.
    """
    if not -_NANOS < nanos < _NANOS:
        raise ERRORS.error("MONEY_INVALID", "nanos must stay below one unit")
    if (units > 0 > nanos) or (units < 0 < nanos):
        raise ERRORS.error("MONEY_INVALID", "units and nanos must have one sign")
    scale = 10 ** exponent_of(currency)
    cents, residue = divmod(abs(nanos), _NANOS // scale)
    if residue:
        raise ERRORS.error("MONEY_INVALID", "less than the minor unit of the currency")
    return Money(units * scale + (cents if nanos >= 0 else -cents), currency)


def to_units(money: Money) -> tuple[int, int]:
    """Return units and nanos as `google.type.Money` holds them."""
    scale = 10 ** EXPONENTS[money.currency]
    units, minor = divmod(abs(money.minor), scale)
    nanos = minor * (_NANOS // scale)
    return (units, nanos) if money.minor >= 0 else (-units, -nanos)


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Return a quotient as a whole number; UP and DOWN are towards plus and minus infinity, halves away from zero.

    Args:
        numerator: Any integer.
        denominator: Above zero.
        rounding: What becomes of the rest.
    """
    below, rest = divmod(numerator, denominator)
    if rest == 0 or rounding is Rounding.DOWN:
        return below
    if rounding is Rounding.UP:
        return below + 1
    if 2 * rest != denominator:
        return below + (2 * rest > denominator)
    if rounding is Rounding.HALF_EVEN:
        return below + (below & 1)
    return below + (numerator > 0)


def share(amount: int, ppm: int, rounding: Rounding) -> int:
    """Return a share of an amount, in parts of a million, rounded once."""
    return divide(amount * ppm, PPM, rounding)


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights so that the parts sum to it exactly: largest rest first, then the earlier part.

    Args:
        total: What to split; its sign is the sign of every part.
        weights: Zero or more each, one of them above zero.
    """
    whole = sum(weights)
    size, sign = abs(total), 1 if total >= 0 else -1
    parts = [size * weight // whole for weight in weights]
    rests = sorted(range(len(weights)), key=lambda at: (-(size * weights[at] % whole), at))
    for at in rests[: size - sum(parts)]:
        parts[at] += 1
    return [sign * part for part in parts]
