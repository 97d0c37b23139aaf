"""What operators authored, in force at any time: markets, price policies, promotions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from rapport_pricing.app.trials import Trial
from rapport_pricing.domain.endings import Ending
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.guardrails import Rule
from rapport_pricing.domain.policy import PolicySettings
from rapport_pricing.domain.promotions import Audience, Promotion, PromotionBook, Scope
from rapport_pricing.domain.tax import TaxPolicy

_FOR_EVER: Final = 2**63


class Kind(StrEnum):
    """What is authored; the names of the kinds in the table of versions."""

    MARKET = "market"
    POLICY = "price_policy"
    PROMOTION = "promotion"
    EXPERIMENT = "experiment"


@dataclass(frozen=True, slots=True)
class Market:
    """A market: its currency, how it taxes, how long a quote holds, and since when an emergency caps prices."""

    name: str
    version: int
    currency: str
    tax: TaxPolicy
    quote_valid_us: int
    emergency_us: int | None = None


@dataclass(frozen=True, slots=True)
class Learning:
    """How prices are learned.

    Attributes:
        settings: Of the policy.
        lowest_ppm: Lowest price, of the one that learning began with.
        highest_ppm: Highest price, of the same.
        bought_within_us: How long somebody who saw a price has to buy.
    """

    settings: PolicySettings
    lowest_ppm: int
    highest_ppm: int
    bought_within_us: int


@dataclass(frozen=True, slots=True)
class Policy:
    """Guardrails of the products in a scope. Of several the one with the highest rank counts, of equals by name."""

    name: str
    version: int
    rank: int
    scope: Scope
    rules: tuple[Rule, ...]
    ending: Ending | None
    learning: Learning | None = None


Terms = Market | Policy | Promotion | Trial
"""One version of what is authored."""


class Decided(NamedTuple):
    """A version was activated from a time on, or a thing retired: then `terms` is None."""

    position: int
    kind: Kind
    name: str
    since_us: int
    terms: Terms | None


class Rulebook:
    """What is in force at one time.

    Attributes:
        markets: By name.
        policies: The one that counts first.
        promotions: By name, those for individual customers included.
        trials: Experiments that run.
        book: Promotions that anybody may get who is known.
        book_for_nobody: Those that a customer nobody knows may get: uses of each customer cannot be counted then.
        until_us: When something else will be in force.
    """

    __slots__ = (
        "_books",
        "_tried",
        "book",
        "book_for_nobody",
        "markets",
        "policies",
        "promotions",
        "trials",
        "until_us",
    )

    def __init__(self, terms: Iterable[Terms], until_us: int) -> None:
        """Sort terms by what they are."""
        self.markets: Final[dict[str, Market]] = {}
        self.promotions: Final[dict[str, Promotion]] = {}
        self.until_us: Final = until_us
        policies: list[Policy] = []
        trials: list[Trial] = []
        for each in terms:
            if isinstance(each, Market):
                self.markets[each.name] = each
            elif isinstance(each, Policy):
                policies.append(each)
            elif isinstance(each, Trial):
                trials.append(each)
            else:
                self.promotions[each.promotion_id] = each
        self.policies: Final = tuple(sorted(policies, key=lambda each: (-each.rank, each.name)))
        self.trials: Final = tuple(sorted(trials, key=lambda each: each.name))
        self._tried: Final = frozenset(name for each in trials for name in each.promotions)
        self._books: Final[dict[tuple[frozenset[str], bool], PromotionBook]] = {}
        self.book: Final = self.book_without(frozenset())
        self.book_for_nobody: Final = self.book_without(frozenset(), known=False)

    def book_without(
        self, exhausted: frozenset[str], *, known: bool = True, tried: frozenset[str] = frozenset()
    ) -> PromotionBook:
        """Return promotions without those that are used up; individual ones come by offers alone.

        Args:
            exhausted: Used up.
            known: Whether the customer is known: else uses of each customer cannot be counted.
            tried: Promotions that a trial gives now; no other quote gets them.
        """
        return PromotionBook(
            each
            for name, each in self.promotions.items()
            if each.audience is not Audience.INDIVIDUAL
            and name not in exhausted
            and (known or each.caps.uses_each is None)
            and (name not in self._tried or name in tried)
        )

    def book_with(self, tried: frozenset[str], *, known: bool) -> PromotionBook:
        """Return promotions with those that trials give now; made once."""
        key = tried, known
        found = self._books.get(key)
        if found is None:
            found = self._books[key] = self.book_without(frozenset(), known=known, tried=tried)
        return found

    def market(self, name: str) -> Market:
        """Return a market.

        Raises:
            RapportError: MARKET_NOT_DECLARED.
        """
        found = self.markets.get(name)
        if found is None:
            raise ERRORS.error("MARKET_NOT_DECLARED", "the market was not declared", field="market")
        return found

    def policy(self, product_id: str, category: str, brand_id: str, market: str) -> Policy | None:
        """Return the policy that counts for a listing; None for no policy."""
        for each in self.policies:
            scope = each.scope
            if (
                (not scope.products or product_id in scope.products)
                and (not scope.categories or category in scope.categories)
                and (not scope.brands or brand_id in scope.brands)
                and (not scope.markets or market in scope.markets)
            ):
                return each
        return None


class Rules:
    """Everything that was ever decided, and what of it is in force when."""

    __slots__ = ("_current", "_decided", "_from_us")

    def __init__(self, decided: Iterable[Decided] = ()) -> None:
        self._decided = list(decided)
        self._current: Rulebook | None = None
        self._from_us = 0

    @property
    def position(self) -> int:
        """Where the last decision was taken; 0 if there is none."""
        return self._decided[-1].position if self._decided else 0

    def with_more(self, decided: Iterable[Decided]) -> Rules:
        """Return these and more, and leave these as they are."""
        return Rules([*self._decided, *decided])

    def add(self, decided: Iterable[Decided]) -> None:
        """Take in what was decided since."""
        before = len(self._decided)
        self._decided.extend(decided)
        if len(self._decided) > before:
            self._current = None

    def at(self, at_us: int) -> Rulebook:
        """Return what is in force at a time; the same object for as long as that does not change."""
        current = self._current
        if current is not None and self._from_us <= at_us < current.until_us:
            return current
        made = self._made(at_us)
        self._current, self._from_us = made, at_us
        return made

    def version(self, kind: Kind, name: str, version: int) -> Terms | None:
        """Return a version that was ever activated; None if there is none."""
        for each in reversed(self._decided):
            terms = each.terms
            if terms is not None and each.kind is kind and each.name == name and terms.version == version:
                return terms
        return None

    def _made(self, at_us: int) -> Rulebook:
        latest: dict[tuple[Kind, str], Decided] = {}
        until_us = _FOR_EVER
        for each in self._decided:
            if each.since_us > at_us:
                until_us = min(until_us, each.since_us)
                continue
            key = each.kind, each.name
            known = latest.get(key)
            if each.terms is None or known is None or known.terms is None or each.since_us >= known.since_us:
                latest[key] = each
        return Rulebook([each.terms for each in latest.values() if each.terms is not None], until_us)
