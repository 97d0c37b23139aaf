"""What a quote holds of promotions with caps."""

from __future__ import annotations

from typing import NamedTuple

from rapport_pricing.domain.promotions import Caps


class Held(NamedTuple):
    """One use of a promotion, held by a quote until a time; `amount` is what it takes off."""

    promotion_id: str
    quote_id: str
    amount: int
    until_us: int
    caps: Caps
