"""The guardrails of one listing: authored rules and law together, and the quantities they refer to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from rapport_pricing.app.rules import Market, Policy
from rapport_pricing.app.stored import SECOND_US
from rapport_pricing.domain.guardrails import Lattice, Quantity, Rule, Tier
from rapport_pricing.domain.law import Law, LawBook
from rapport_pricing.domain.ledger import PriceHistory
from rapport_pricing.domain.money import PPM, Rounding, divide

DAY_US: Final = 86_400 * SECOND_US


class DatedLaws:
    """The law of a market and a category on a day, UTC; made once for a day.

    Args:
        book: Every rule of law.
    """

    __slots__ = ("_book", "_held")

    def __init__(self, book: LawBook) -> None:
        self._book = book
        self._held: dict[tuple[str, str], tuple[int, Law]] = {}

    def at(self, market: str, category: str, at_us: int) -> Law:
        """Return what holds for a category in a market on the day of a time."""
        day = at_us // DAY_US
        held = self._held.get((market, category))
        if held is None or held[0] != day:
            on = datetime.fromtimestamp(day * 86_400, UTC).date()
            held = self._held[market, category] = day, self._book.in_force(market, category, on)
        return held[1]


def lattice_of(policy: Policy | None, law: Law, market: Market) -> Lattice:
    """Return every rule for a published price.

    Raises:
        RapportError: GUARDRAIL_INVALID: two rules have one name.
    """
    return Lattice(_rules(policy, law, market), policy.ending if policy is not None else None)


def floors_of(policy: Policy | None, law: Law, market: Market) -> Lattice:
    """Return the rules that hold for what is left of a price after promotions, too: law, cost and contract."""
    return Lattice(rule for rule in _rules(policy, law, market) if rule.tier <= Tier.CONTRACT)


def _rules(policy: Policy | None, law: Law, market: Market) -> list[Rule]:
    authored = policy.rules if policy is not None else ()
    emergency = law.emergency if market.emergency_us is not None else ()
    return [*law.standing, *emergency, *authored]


def known_of(history: PriceHistory, cost: int, tax_ppm: int, market: Market, at_us: int) -> Mapping[Quantity, int]:
    """Return what is known of a listing, as the market publishes prices: with or without tax."""
    included = market.tax.included
    known = {Quantity.COST: divide(cost * (PPM + tax_ppm), PPM, Rounding.UP) if included else cost}

    def put(quantity: Quantity, gross: int | None) -> None:
        if gross is not None:
            known[quantity] = gross if included else gross * PPM // (PPM + tax_ppm)

    put(Quantity.HIGHEST_90_DAYS, history.highest(at_us, 90))
    put(Quantity.AVERAGE_30_DAYS, history.average(at_us, 30))
    current = history.at(at_us)
    if current is not None:
        known[Quantity.PUBLISHED] = current.gross if included else current.net
        known[Quantity.SECONDS_SINCE_CHANGE] = (at_us - current.since_us) // SECOND_US
    if market.emergency_us is not None:
        put(Quantity.AVERAGE_30_DAYS, history.average(market.emergency_us, 30))
        put(Quantity.BEFORE_EMERGENCY, history.highest(market.emergency_us, 30))
    return known
