"""What the service keeps of products, stock and prices. Amounts are minor units, times microseconds since 1970."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from rapport_pricing.domain.explaining import RuleRow
from rapport_pricing.domain.ledger import PriceVersion

SECOND_US = 1_000_000


class ProductState(StrEnum):
    """Where a product stands."""

    ON_SALE = "on_sale"
    PAUSED = "paused"
    DISCONTINUED = "discontinued"


class Listing(NamedTuple):
    """A product, or a variant of it, in a market: what one costs us without tax, and how it is taxed."""

    variant_id: str
    market: str
    cost: int
    currency: str
    tax_ppm: int


class Product(NamedTuple):
    """One version of a product."""

    product_id: str
    version: int
    category: str
    brand_id: str
    state: ProductState
    listings: tuple[Listing, ...]
    updated_us: int


class Key(NamedTuple):
    """What has one published price."""

    product_id: str
    variant_id: str
    market: str


class Availability(StrEnum):
    """Whether something can be bought."""

    IN_STOCK = "in_stock"
    LOW = "low"
    OUT_OF_STOCK = "out_of_stock"
    DISCONTINUED = "discontinued"


class Stock(NamedTuple):
    """How much is left of a listing; `low_at` pieces or fewer will soon be gone."""

    key: Key
    version: int
    quantity: int
    low_at: int
    expected_us: int | None
    occurred_us: int

    @property
    def availability(self) -> Availability:
        """Whether it can be bought, if its product is sold at all."""
        if self.quantity == 0:
            return Availability.OUT_OF_STOCK
        return Availability.LOW if self.quantity <= self.low_at else Availability.IN_STOCK


class Published(NamedTuple):
    """A published price, the rule that bound it (empty for none), and what every rule that was looked at did."""

    key: Key
    price: PriceVersion
    binding: str
    findings: tuple[RuleRow, ...]
