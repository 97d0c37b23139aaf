"""Tax: net, tax, gross and the all-in total, rounded per line or on the total, whichever the policy says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from rapport_pricing.domain.money import PPM, Rounding, allocate, divide


class TaxPoint(Enum):
    """Where tax is rounded: the two differ by cents in a third of all baskets, so it is a policy."""

    LINE = "line"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class TaxPolicy:
    """How a market taxes.

    Attributes:
        included: Whether published prices include tax, as they must where consumers buy in the EU.
        point: Where the rounding happens.
        rounding: How.
    """

    included: bool = True
    point: TaxPoint = TaxPoint.LINE
    rounding: Rounding = Rounding.HALF_UP


class Taxed(NamedTuple):
    """An amount with its tax; `net + tax == gross`, always."""

    net: int
    tax: int
    gross: int


class Totals(NamedTuple):
    """What a basket costs.

    Attributes:
        net: Without tax.
        tax: The tax.
        gross: With tax.
        all_in: Gross with every charge that cannot be avoided: the price to show.
    """

    net: int
    tax: int
    gross: int
    all_in: int


def tax_of(amount: int, rate_ppm: int, policy: TaxPolicy) -> int:
    """Return the tax in a price that includes it, or on one that does not."""
    if rate_ppm == 0:
        return 0
    base = PPM + rate_ppm if policy.included else PPM
    return divide(amount * rate_ppm, base, policy.rounding)


def taxed(amount: int, rate_ppm: int, policy: TaxPolicy) -> Taxed:
    """Return net, tax and gross of one amount as published."""
    tax = tax_of(amount, rate_ppm, policy)
    return Taxed(amount - tax, tax, amount) if policy.included else Taxed(amount, tax, amount + tax)


def tax_lines(lines: Sequence[tuple[int, int]], policy: TaxPolicy) -> list[Taxed]:
    """Return net, tax and gross of every line; rounded on the total, the tax of each rate is split among its lines.

    Args:
        lines: Amount as published, and rate in parts of a million.
        policy: How the market taxes.
    """
    if policy.point is TaxPoint.LINE or len(lines) == 1:
        return [taxed(amount, rate, policy) for amount, rate in lines]
    taxes = [0] * len(lines)
    for rate in {rate for _, rate in lines}:
        places = [at for at, line in enumerate(lines) if line[1] == rate]
        amounts = [lines[at][0] for at in places]
        if any(amounts):
            parts = allocate(tax_of(sum(amounts), rate, policy), amounts)
            for at, part in zip(places, parts, strict=True):
                taxes[at] = part
    if policy.included:
        return [Taxed(amount - tax, tax, amount) for (amount, _), tax in zip(lines, taxes, strict=True)]
    return [Taxed(amount, tax, amount + tax) for (amount, _), tax in zip(lines, taxes, strict=True)]


def totals(lines: Sequence[Taxed], charges: Sequence[Taxed] = ()) -> Totals:
    """Return the sums of a basket.

    Args:
        lines: What is bought.
        charges: What cannot be avoided beside it, such as a deposit or a booking fee.
    """
    net = tax = gross = 0
    for line in lines:
        net, tax, gross = net + line.net, tax + line.tax, gross + line.gross
    all_in = gross + sum(charge.gross for charge in charges) if charges else gross
    return Totals(net, tax, gross, all_in)
