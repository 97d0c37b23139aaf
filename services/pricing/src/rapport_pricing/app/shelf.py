"""What a process knows by heart of products, stock, prices and rules, up to a position of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rapport_pricing.app.limits import DAY_US, DatedLaws, floors_of, known_of
from rapport_pricing.app.offer_terms import OpenOffers, StoredOffer
from rapport_pricing.app.rules import Decided, Market, Policy, Rulebook, Rules
from rapport_pricing.app.stored import Key, Listing, Product, ProductState, Stock
from rapport_pricing.app.trials import Allocation
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.law import Law
from rapport_pricing.domain.ledger import PriceHistory, PriceVersion
from rapport_pricing.domain.lines import Line, PricedLine

_NO_HISTORY: Final = PriceHistory()


class News(NamedTuple):
    """What was written to the catalogue after a position, up to another one."""

    position: int
    products: Sequence[Product] = ()
    prices: Sequence[tuple[Key, PriceVersion]] = ()
    stocks: Sequence[Stock] = ()
    decided: Sequence[Decided] = ()
    offers: Sequence[StoredOffer] = ()
    allocations: Sequence[Allocation] = ()


class Lot:
    """A listing of a product, ready to be priced.

    Attributes:
        key: What it is.
        product: Its product.
        listing: Its cost and tax.
        history: What was published for it.
        stock: How much is left; None if nobody said.
        drawn: A line of it that costs the same for everybody, and the message it was answered as.
    """

    __slots__ = ("_floor", "_line", "drawn", "history", "key", "listing", "product", "stock")

    def __init__(self, key: Key, product: Product, listing: Listing) -> None:
        self.key: Final = key
        self.product: Final = product
        self.listing: Final = listing
        self.history = _NO_HISTORY
        self.stock: Stock | None = None
        self.drawn: tuple[PricedLine, object] | None = None
        self._floor: tuple[Rulebook, int, int, str] | None = None
        self._line: tuple[Rulebook, PriceVersion, int, Line] | None = None

    def floor(self, shelf: Shelf, rulebook: Rulebook, market: Market, at_us: int) -> tuple[int, str]:
        """Return the lowest price of one that law, cost and contract allow, and the rule that says so.

        Raises:
            RapportError: GUARDRAILS_CONTRADICT: no price is allowed.
        """
        day = at_us // DAY_US
        held = self._floor
        if held is None or held[0] is not rulebook or held[1] != day:
            lattice = floors_of(self._policy(rulebook), shelf.law(self, at_us), market)
            guarded = lattice.guard(0, known_of(self.history, self.listing.cost, self.listing.tax_ppm, market, at_us))
            held = self._floor = rulebook, day, guarded.price, guarded.binding
        return held[2], held[3]

    def line(self, shelf: Shelf, rulebook: Rulebook, market: Market, quantity: int, at_us: int) -> Line:
        """Return a line of a basket, at the price in force.

        Raises:
            RapportError: PRODUCT_PAUSED, PRICE_NOT_FOUND, CURRENCY_MISMATCH, BASKET_INVALID.
        """
        if self.product.state is not ProductState.ON_SALE:
            raise ERRORS.error("PRODUCT_PAUSED", "the product is not sold at the moment", field="lines")
        price = self.history.at(at_us)
        if price is None:
            raise ERRORS.error("PRICE_NOT_FOUND", "no price was published for the product in the market", field="lines")
        if price.currency != market.currency:
            raise ERRORS.error("CURRENCY_MISMATCH", "the price is in another currency than the market", field="lines")
        floor, rule = self.floor(shelf, rulebook, market, at_us)
        held = self._line
        if held is not None and held[:3] == (rulebook, price, quantity) and held[3].floor == floor:
            return held[3]
        line = Line(
            product_id=self.key.product_id,
            variant_id=self.key.variant_id,
            category=self.product.category,
            brand_id=self.product.brand_id,
            quantity=quantity,
            published=price.gross if market.tax.included else price.net,
            price_version=price.version,
            tax_ppm=self.listing.tax_ppm,
            floor=floor,
            floor_rule=rule,
        )
        self._line = rulebook, price, quantity, line
        return line

    def published(self) -> None:
        """Forget what was made of the prices there were before."""
        self._floor = self._line = None

    def _policy(self, rulebook: Rulebook) -> Policy | None:
        product = self.product
        return rulebook.policy(product.product_id, product.category, product.brand_id, self.key.market)


class Shelf:
    """Everything, as of a position.

    Args:
        laws: What the law says.

    Attributes:
        epoch: Life of the catalogue; empty before it was read.
        position: What is known up to and with.
        rules: What was authored.
        offers: Offers that customers may use.
        allocations: How bandits give out arms, by name, oldest first.
        lots: Listings of products.
        products: Products.
    """

    def __init__(self, laws: DatedLaws) -> None:
        self.epoch = ""
        self.position = 0
        self.rules = Rules()
        self.offers = OpenOffers()
        self.allocations: dict[str, list[Allocation]] = {}
        self.lots: dict[tuple[str, str, str], Lot] = {}
        self.products: dict[str, Product] = {}
        self._histories: dict[Key, PriceHistory] = {}
        self._stocks: dict[Key, Stock] = {}
        self._laws = laws

    def follow(self, news: News) -> None:
        """Take in what was written after the position known."""
        self.rules.add(news.decided)
        self.offers.put(news.offers)
        for each in news.allocations:
            self.allocations.setdefault(each.name, []).append(each)
        touched = {key for key, _ in news.prices} | {stock.key for stock in news.stocks}
        self._publish(news.prices)
        for stock in news.stocks:
            self._stocks[stock.key] = stock
        for product in news.products:
            touched |= self._put(product)
        for key in touched:
            lot = self.lots.get(key)
            if lot is not None:
                lot.history = self._histories.get(key, _NO_HISTORY)
                lot.stock = self._stocks.get(key)
                lot.published()
        self.position = news.position

    def lot(self, product_id: str, variant_id: str, market: str) -> Lot:
        """Return a listing.

        Raises:
            RapportError: LISTING_NOT_FOUND.
        """
        found = self.lots.get((product_id, variant_id, market))
        if found is None:
            raise ERRORS.error("LISTING_NOT_FOUND", "the product is not sold in the market", field="lines")
        return found

    def law(self, lot: Lot, at_us: int) -> Law:
        """Return what holds for a listing on the day of a time."""
        return self._laws.at(lot.key.market, lot.product.category, at_us)

    def _publish(self, prices: Iterable[tuple[Key, PriceVersion]]) -> None:
        grown: dict[Key, list[PriceVersion]] = {}
        for key, version in prices:
            grown.setdefault(key, []).append(version)
        for key, versions in grown.items():
            earlier = self._histories.get(key, _NO_HISTORY).versions
            self._histories[key] = PriceHistory((*earlier, *versions))

    def _put(self, product: Product) -> set[Key]:
        before = self.products.get(product.product_id)
        if before is not None:
            for listing in before.listings:
                self.lots.pop((product.product_id, listing.variant_id, listing.market), None)
        self.products[product.product_id] = product
        keys = set()
        for listing in product.listings:
            key = Key(product.product_id, listing.variant_id, listing.market)
            self.lots[key] = Lot(key, product, listing)
            keys.add(key)
        return keys
