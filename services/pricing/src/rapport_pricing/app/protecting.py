"""Protected customers never pay to be learned from: a tier or an open offer protects them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rapport_pricing.app.shelf import Lot, Shelf
from rapport_pricing.app.stored import Key
from rapport_pricing.domain.ledger import PriceVersion
from rapport_pricing.domain.promotions import Audience, Benefit, Promotion, Scope

_PROTECTION: Final = "settled/"
_FIRST: Final = -(2**31)
_FOR_EVER: Final = 2**62


def protections(lots: Iterable[Lot], at_us: int) -> list[Promotion]:
    """Return what keeps a protected customer from paying more than what is believed to earn most."""
    current = [(lot.key, lot.history.at(at_us)) for lot in lots]
    return [protection(key, price) for key, price in current if price is not None and price.settled is not None]


def protection(key: Key, price: PriceVersion) -> Promotion:
    """Return what keeps a protected customer from paying more than the settled price of a version."""
    assert price.settled is not None
    return Promotion(
        promotion_id=f"{_PROTECTION}{key.product_id}/{key.variant_id}",
        version=price.version,
        benefit=Benefit.PRICE_EACH,
        value=price.settled,
        since_us=0,
        until_us=_FOR_EVER,
        order=_FIRST,
        scope=Scope(products=frozenset((key.product_id,))),
        audience=Audience.INDIVIDUAL,
    )


def protection_named(shelf: Shelf, market: str, promotion_id: str, version: int) -> Promotion | None:
    """Return a protection by the name it has in a quote; None if that names none."""
    if not promotion_id.startswith(_PROTECTION):
        return None
    product_id, _, variant_id = promotion_id.removeprefix(_PROTECTION).partition("/")
    lot = shelf.lot(product_id, variant_id, market)
    found = [each for each in lot.history.versions if each.version == version and each.settled is not None]
    return protection(lot.key, found[0]) if found else None
