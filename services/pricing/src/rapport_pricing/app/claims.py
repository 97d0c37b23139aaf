"""Which reduction a quoted line may claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from rapport_pricing.app.shelf import Lot
from rapport_pricing.domain.law import Law
from rapport_pricing.domain.ledger import reduction_ppm
from rapport_pricing.domain.lines import Part, PricedLine
from rapport_pricing.domain.promotions import Promotion

_NO_LAW_DAYS: Final = 30


class Claim(NamedTuple):
    """A reduction: the lowest gross price of one before it, and how much less one costs, in parts of a million."""

    prior: int
    reduction_ppm: int


def claim(lot: Lot, law: Law, line: PricedLine, promotions: Mapping[str, Promotion], at_us: int) -> Claim | None:
    """Return the reduction that a line may claim; None if it may claim none.

    What everybody gets counts, what only this customer gets does not: it is no announced reduction.

    Args:
        lot: What the line is of.
        law: What holds for it.
        line: The line.
        promotions: Those that the basket used, by id.
        at_us: When it was quoted.
    """
    public = [promotions[part.ref] for part in line.components if part.part is Part.PROMOTION]
    began = lot.history.reduction_began(at_us)
    starts = [each.since_us for each in public] + ([began] if began is not None else [])
    if not starts:
        return None
    personal = sum(part.amount for part in line.components if part.part is Part.PERSONAL)
    each_costs = -((personal - line.amount.gross) // line.line.quantity)
    prior = lot.history.prior_price(min(starts), law.prior_price_days or _NO_LAW_DAYS)
    reduction = reduction_ppm(each_costs, prior)
    return Claim(prior.gross, reduction) if prior is not None and reduction else None
