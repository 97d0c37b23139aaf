"""Promotions: what takes something off a price, and in which order.

The order is part of the contract: 100 less 20 and then less 10 % is 72, the other way round 70. On each line the
joint promotions apply one after the other by (order, id), at most one of a group; an exclusive one applies alone.
Whichever of these leaves the line cheapest is taken; of equals the joint ones, then the exclusive one first in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.money import PPM, Rounding, share


class Benefit(Enum):
    """What a promotion takes off."""

    PERCENT = "percent"
    AMOUNT_EACH = "amount_each"
    PRICE_EACH = "price_each"
    AMOUNT_BASKET = "amount_basket"


class Audience(Enum):
    """Who may use it; public ones and open codes must show the prior price where that is law."""

    PUBLIC = "public"
    OPEN_CODE = "open_code"
    LOYALTY = "loyalty"
    INDIVIDUAL = "individual"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a promotion holds for; an empty set is everything."""

    products: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    markets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Caps:
    """How often and how much; None is without bound. One with any bound is reserved when quoted."""

    uses: int | None = None
    uses_each: int | None = None
    budget: int | None = None

    @property
    def any(self) -> bool:
        """Whether there is a bound."""
        return not (self.uses is None and self.uses_each is None and self.budget is None)


@dataclass(frozen=True, slots=True)
class Promotion:
    """An authored promotion, or an offer to one customer.

    Attributes:
        promotion_id: Of the promotion; of the offer, where it is one.
        version: Of it.
        benefit: What it takes off.
        value: Parts of a million for PERCENT, else minor units.
        order: Lower applies first; then the id.
        exclusive: Whether it stands alone on a line.
        group: At most one of a group applies to a line; empty for no group.
        of_initial: Whether a percentage is of the published price, not of what is left of it.
        scope: What it holds for.
        audience: Who may use it.
        code: The code it needs; empty for none.
        loyalty: The loyalty tier it needs; empty for none.
        minimum_spend: Of the lines in scope, as published.
        since_us: From when.
        until_us: Until when; a promotion ends at a real time.
        caps: Bounds on its use.
        rounding: Of a percentage of one piece.
    """

    promotion_id: str
    version: int
    benefit: Benefit
    value: int
    since_us: int
    until_us: int
    order: int = 0
    exclusive: bool = False
    group: str = ""
    of_initial: bool = False
    scope: Scope = Scope()
    audience: Audience = Audience.PUBLIC
    code: str = ""
    loyalty: str = ""
    minimum_spend: int = 0
    caps: Caps = Caps()
    rounding: Rounding = Rounding.HALF_UP

    def __post_init__(self) -> None:
        if self.value < 0 or (self.benefit is Benefit.PERCENT and self.value > PPM) or self.since_us >= self.until_us:
            raise ERRORS.error("PROMOTION_INVALID", "the benefit or the time is out of bounds", field=self.promotion_id)
        if self.exclusive and self.benefit is Benefit.AMOUNT_BASKET:
            raise ERRORS.error("PROMOTION_INVALID", "an amount off the basket is joint", field=self.promotion_id)
        if (self.audience is Audience.LOYALTY) != bool(self.loyalty):
            raise ERRORS.error("PROMOTION_INVALID", "loyalty promotions name a tier", field=self.promotion_id)

    @property
    def key(self) -> tuple[int, str]:
        """Its place in the order."""
        return self.order, self.promotion_id

    @property
    def personal(self) -> bool:
        """Whether personal data decide that it applies."""
        return self.audience in (Audience.LOYALTY, Audience.INDIVIDUAL)

    def off(self, published: int, left: int) -> int:
        """Return what it takes off one piece: never more than is left of it, never less than nothing."""
        if self.benefit is Benefit.PERCENT:
            wanted = share(published if self.of_initial else left, self.value, self.rounding)
        elif self.benefit is Benefit.AMOUNT_EACH:
            wanted = self.value
        else:
            wanted = left - self.value
        return max(0, min(wanted, left))


@dataclass(frozen=True, slots=True)
class Entitlements:
    """What a customer brings: codes anybody may type in; tier and offers are personal and need a permit."""

    codes: frozenset[str] = frozenset()
    loyalty: str = ""
    offers: tuple[Promotion, ...] = ()

    @property
    def personal(self) -> bool:
        """Whether personal data are among it."""
        return bool(self.loyalty or self.offers)


NOTHING: Final = Entitlements()


class Subject(NamedTuple):
    """What a promotion looks at in a line."""

    product_id: str
    category: str
    brand_id: str
    published: int
    floor: int


class Step(NamedTuple):
    """A promotion on one piece: what it takes off, and whether the floor kept it from taking more."""

    promotion: Promotion
    off: int
    held: bool


class PromotionBook:
    """Promotions that are active, found by what they hold for; made once a version, asked for every line."""

    def __init__(self, promotions: Iterable[Promotion]) -> None:
        """Index the promotions.

        Raises:
            RapportError: PROMOTION_INVALID, an id occurs twice.
        """
        self.promotions: Final = tuple(sorted(promotions, key=lambda each: each.key))
        if len({each.promotion_id for each in self.promotions}) != len(self.promotions):
            raise ERRORS.error("PROMOTION_INVALID", "a promotion occurs twice")
        self._basket: Final = tuple(each for each in self.promotions if each.benefit is Benefit.AMOUNT_BASKET)
        self._for_all: Final[list[Promotion]] = []
        self._by_key: Final[dict[str, list[Promotion]]] = {}
        for each in self.promotions:
            if each.benefit is not Benefit.AMOUNT_BASKET:
                keys = each.scope.products or each.scope.categories or each.scope.brands
                for place in [self._by_key.setdefault(key, []) for key in keys] if keys else [self._for_all]:
                    place.append(each)

    def for_line(self, subject: Subject) -> list[Promotion]:
        """Return the promotions that may hold for a line, in order."""
        if not self.promotions:
            return []
        find = self._by_key.get
        found = self._for_all
        for key in {subject.product_id, subject.category, subject.brand_id}:
            more = find(key)
            if more:
                found = found + more
        return [each for each in found if in_scope(each.scope, subject)]

    def for_basket(self) -> Sequence[Promotion]:
        """Return the promotions that take an amount off the basket, in order."""
        return self._basket


def in_scope(scope: Scope, subject: Subject) -> bool:
    """Return whether a line is what a promotion holds for."""
    return (
        (not scope.products or subject.product_id in scope.products)
        and (not scope.categories or subject.category in scope.categories)
        and (not scope.brands or subject.brand_id in scope.brands)
    )


def usable(promotion: Promotion, market: str, at_us: int, brought: Entitlements) -> bool:
    """Return whether time, market, code and tier allow a promotion."""
    return (
        promotion.since_us <= at_us < promotion.until_us
        and (not promotion.scope.markets or market in promotion.scope.markets)
        and (not promotion.code or promotion.code in brought.codes)
        and (not promotion.loyalty or promotion.loyalty == brought.loyalty)
    )


def stack(promotions: Iterable[Promotion], subject: Subject) -> list[Step]:
    """Return what applies to one piece of a line, in order.

    Args:
        promotions: Usable ones in scope, in any order.
        subject: The line; its floor is never passed.
    """
    ordered = sorted(promotions, key=lambda each: each.key)
    joint = [each for each in ordered if not each.exclusive]
    best = _one_after_another(_one_of_each_group(joint, subject), subject)
    lowest = subject.published - sum(step.off for step in best)
    for promotion in ordered:
        if promotion.exclusive:
            alone = _one_after_another([promotion], subject)
            left = subject.published - sum(step.off for step in alone)
            if left < lowest:
                best, lowest = alone, left
    return best


def _one_of_each_group(joint: list[Promotion], subject: Subject) -> list[Promotion]:
    """Keep of each group the promotion that alone takes most off, of equals the first."""
    taken: dict[str, Promotion] = {}
    published = subject.published
    for each in joint:
        if each.group:
            rival = taken.get(each.group)
            if rival is None or each.off(published, published) > rival.off(published, published):
                taken[each.group] = each
    return [each for each in joint if not each.group or taken[each.group] is each]


def _one_after_another(promotions: list[Promotion], subject: Subject) -> list[Step]:
    steps: list[Step] = []
    left = subject.published
    for promotion in promotions:
        wanted = promotion.off(subject.published, left)
        off = min(wanted, max(left - subject.floor, 0))
        if wanted:
            steps.append(Step(promotion, off, off < wanted))
            left -= off
    return steps
