"""What a basket is made of: lines, what each costs and why, and what is kept of a line that was priced before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.money import MAX_AMOUNT
from rapport_pricing.domain.promotions import Promotion, PromotionBook
from rapport_pricing.domain.tax import Taxed, TaxPolicy, Totals


class Part(Enum):
    """What a component of a line is."""

    PUBLISHED = "published"
    PROMOTION = "promotion"
    PERSONAL = "personal"
    TAX = "tax"


class Component(NamedTuple):
    """An amount that a line is made of.

    Attributes:
        part: What it is.
        ref: Promotion, offer or version of the published price.
        version: Of that.
        amount: In minor units; below zero for what is taken off.
        rule: The guardrail that kept a promotion from taking more off; empty if none did.
    """

    part: Part
    ref: str
    version: int
    amount: int
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """What is asked for.

    Attributes:
        product_id: The product.
        variant_id: Its variant; empty for none.
        category: Of the product.
        brand_id: Of the product.
        quantity: How many; above zero.
        published: Published price of one, in minor units; with tax where the market's prices include it.
        price_version: Version of that price.
        tax_ppm: Tax rate, in parts of a million.
        floor: Lowest price of one that the guardrails allow.
        floor_rule: The guardrail that says so.
    """

    product_id: str
    variant_id: str
    category: str
    brand_id: str
    quantity: int
    published: int
    price_version: int
    tax_ppm: int
    floor: int = 0
    floor_rule: str = ""
    kept: KeptLine | None = field(init=False, default=None, compare=False, repr=False)
    """The same line priced before: what neither the customer nor the rest of the basket decides is not made again."""

    def __post_init__(self) -> None:
        if self.quantity <= 0 or not 0 <= self.published * self.quantity <= MAX_AMOUNT:
            raise ERRORS.error("BASKET_INVALID", "a quantity or an amount is out of bounds", field="lines.quantity")


class PricedLine(NamedTuple):
    """A line with its price; the components sum to `amount.gross`."""

    line: Line
    amount: Taxed
    components: tuple[Component, ...]


class Use(NamedTuple):
    """A promotion that was used, and what it took off the basket."""

    promotion: Promotion
    amount: int


@dataclass(slots=True)
class KeptLine:
    """A line that costs the same for everybody, whatever else is in the basket, for as long as no promotion changes.

    Attributes:
        book: The promotions that there were.
        market: Whose promotions held.
        tax: How the market taxed.
        since_us: It holds from then.
        until_us: It holds until then.
        priced: The line; None where customers or baskets differ.
        uses: Promotions that apply, and what they take off.
        text: The line in canonical bytes of a quote; empty until they were made.
    """

    book: PromotionBook
    market: str
    tax: TaxPolicy
    since_us: int
    until_us: int
    priced: PricedLine | None
    uses: Sequence[Use] = ()
    text: str = ""


class PricedBasket(NamedTuple):
    """A priced basket.

    Attributes:
        lines: In the order asked.
        totals: Their sums.
        uses: Promotions that took something off, in order.
        personalised: Whether personal data changed an amount.
    """

    lines: tuple[PricedLine, ...]
    totals: Totals
    uses: tuple[Use, ...]
    personalised: bool
