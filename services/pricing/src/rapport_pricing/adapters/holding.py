"""Holds what a quote uses of promotions with caps, and keeps its decision with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rapport_pricing.adapters.reservations import Reservations
from rapport_pricing.app.holding import Held
from rapport_pricing.app.people import LedgerPeople
from rapport_pricing.app.quoting import Made
from rapport_pricing.domain.lines import Use
from rapport_pricing.translate.quotes import kept_of, quote_message


class HeldQuotes:
    """`Holds`.

    Args:
        reservations: Where uses are held.
        people: Who is whose: all ids of a person count as one customer.
    """

    def __init__(self, reservations: Reservations, people: LedgerPeople) -> None:
        self._reservations = reservations
        self._people = people

    async def __call__(self, made: Made, uses: Sequence[Use]) -> Collection[str]:
        """Hold uses and keep the decision, both or nothing; return the promotions of which no use was left."""
        quote = made.priced.quote
        held = [
            Held(use.promotion.promotion_id, quote.quote_id, use.amount, quote.expires_us, use.promotion.caps)
            for use in uses
        ]
        kept = kept_of(made, quote_message(made))
        customer_ids = self._people.ids_of(quote.customer_id)
        return await self._reservations.hold(held, kept, customer_ids, quote.issued_us)
