"""Use cases of the catalogue: products, stock, published prices, authored versions. Each joins a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from rapport_pricing.app.limits import known_of, lattice_of
from rapport_pricing.app.rules import Market, Policy, Rulebook
from rapport_pricing.app.stored import Key, Listing, Product, ProductState, Published, Stock
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.explaining import explain_guarded
from rapport_pricing.domain.law import Law
from rapport_pricing.domain.ledger import Cause, PriceHistory, PriceVersion, PriorPrice, reduction_ppm
from rapport_pricing.domain.tax import taxed

_PRIOR_DAYS = 30


class Catalogue(Protocol):
    """The catalogue in a transaction that holds its head: nobody else writes meanwhile."""

    @property
    def now_us(self) -> int:
        """The time of this write, never before that of an earlier one."""
        ...

    async def rulebook(self) -> Rulebook:
        """Return what is in force now."""
        ...

    async def products(self, product_ids: Collection[str]) -> Mapping[str, Product]:
        """Return the newest versions of products, those that exist."""
        ...

    async def put(self, products: Sequence[Product]) -> None:
        """Add versions of products."""
        ...

    async def history(self, key: Key) -> PriceHistory:
        """Return what was published for a listing."""
        ...

    async def publish(self, published: Published, before: PriceVersion | None, prior: PriorPrice | None) -> None:
        """Add a version of a price and tell of it."""
        ...

    async def stock(self, key: Key) -> Stock | None:
        """Return what is left of a listing."""
        ...

    async def count(self, stock: Stock) -> None:
        """Replace what is left of a listing and tell of it."""
        ...


class Wish(NamedTuple):
    """A price that somebody wishes to be published.

    Attributes:
        key: For what.
        price: With tax where prices of the market include it, in minor units of `currency`.
        currency: Of the price.
        cause: Why.
        expected_version: The version it replaces; None for whichever there is.
        promotion_id: The public promotion it belongs to; empty for a regular price.
        exactly: Whether another price than the one wished is not wanted.
        settled: Where it is wished to learn: what protected customers pay.
    """

    key: Key
    price: int
    currency: str
    cause: Cause
    expected_version: int | None = None
    promotion_id: str = ""
    exactly: bool = False
    settled: int | None = None


class Guarded(NamedTuple):
    """A wish as the guardrails allow it, not published yet, and what it was made from.

    Attributes:
        published: What would be published.
        last: The price it would replace; None for the first.
        price: The same as prices of the market are published: with tax or without.
        history: Of the listing.
        law: What holds for it.
    """

    published: Published
    last: PriceVersion | None
    price: int
    history: PriceHistory
    law: Law


class Laws(Protocol):
    """What the law says."""

    def at(self, market: str, category: str, at_us: int) -> Law:
        """Return what holds for a category in a market on the day of a time."""
        ...


async def upsert(catalogue: Catalogue, wanted: Sequence[Product]) -> tuple[list[Product], int]:
    """Add products or replace them; one that is as it was stays as it is.

    Returns:
        The products as they are now, in the order wanted, and how many were new or have changed.

    Raises:
        RapportError: MARKET_NOT_DECLARED; CURRENCY_MISMATCH: a cost is in another currency than its market.
    """
    markets = (await catalogue.rulebook()).markets
    known = await catalogue.products([each.product_id for each in wanted])
    changed: list[Product] = []
    now: list[Product] = []
    for product in wanted:
        for listing in product.listings:
            _check_market(markets, listing)
        before = known.get(product.product_id)
        version, updated = (before.version, before.updated_us) if before is not None else (0, 0)
        if before is not None and product._replace(version=version, updated_us=updated) == before:
            now.append(before)
            continue
        made = product._replace(version=version + 1, updated_us=catalogue.now_us)
        now.append(made)
        changed.append(made)
    if changed:
        await catalogue.put(changed)
    return now, len(changed)


async def count_stock(catalogue: Catalogue, counted: Stock) -> Stock:
    """Say how much is left of a listing; a count older than the one known changes nothing.

    Raises:
        RapportError: LISTING_NOT_FOUND.
    """
    await listing_of(catalogue, counted.key)
    before = await catalogue.stock(counted.key)
    if before is not None and counted.occurred_us < before.occurred_us:
        return before
    version = before.version if before is not None else 0
    if before is not None and counted._replace(version=version) == before:
        return before
    stock = counted._replace(version=version + 1)
    await catalogue.count(stock)
    return stock


async def publish(catalogue: Catalogue, laws: Laws, wish: Wish) -> Published:
    """Publish the nearest price to the one wished that law, cost, contract, cadence and strategy allow.

    Raises:
        RapportError: As `guard`.
    """
    return await put_in_force(catalogue, await guard(catalogue, laws, wish))


async def put_in_force(catalogue: Catalogue, guarded: Guarded) -> Published:
    """Publish what the guardrails allowed in the same transaction."""
    published, last, _, history, law = guarded
    await catalogue.publish(published, last, _prior(published.price, history, law))
    return published


async def guard(catalogue: Catalogue, laws: Laws, wish: Wish) -> Guarded:
    """Return the nearest price to the one wished that is allowed, without publishing it.

    Raises:
        RapportError: LISTING_NOT_FOUND, PRODUCT_PAUSED, MARKET_NOT_DECLARED, CURRENCY_MISMATCH,
            PRICE_VERSION_CONFLICT, GUARDRAILS_CONTRADICT, PRICE_INVALID.
    """
    product, listing = await listing_of(catalogue, wish.key)
    if product.state is not ProductState.ON_SALE:
        raise ERRORS.error("PRODUCT_PAUSED", "the product is not sold at the moment", field="product_id")
    rulebook = await catalogue.rulebook()
    market = rulebook.market(wish.key.market)
    if wish.currency != market.currency:
        raise ERRORS.error("CURRENCY_MISMATCH", f"must be in {market.currency}", field="price")
    history = await catalogue.history(wish.key)
    last = history.versions[-1] if history.versions else None
    version = last.version if last is not None else 0
    if wish.expected_version is not None and wish.expected_version != version:
        raise ERRORS.error("PRICE_VERSION_CONFLICT", f"version {version} is published", retry_after_s=0.0)
    at_us = max(catalogue.now_us, last.since_us + 1 if last is not None else 0)
    policy = rulebook.policy(product.product_id, product.category, product.brand_id, market.name)
    law = laws.at(market.name, product.category, at_us)
    published = _guarded(wish, listing, market, policy, law, history, at_us, version + 1)
    return Guarded(published, last, published_at(published.price, market), history, law)


def published_at(price: PriceVersion, market: Market) -> int:
    """Return a price as prices of its market are published: with tax or without."""
    return price.gross if market.tax.included else price.net


def _guarded(
    wish: Wish,
    listing: Listing,
    market: Market,
    policy: Policy | None,
    law: Law,
    history: PriceHistory,
    at_us: int,
    version: int,
) -> Published:
    known = known_of(history, listing.cost, listing.tax_ppm, market, at_us)
    guarded = lattice_of(policy, law, market).guard(wish.price, known)
    if wish.exactly and guarded.price != wish.price:
        rule = guarded.binding or "the endings of the policy"
        raise ERRORS.error("GUARDRAILS_CONTRADICT", f"the price would be moved by {rule}", metadata={"rule": rule})
    amounts = taxed(guarded.price, listing.tax_ppm, market.tax)
    settled = wish.settled if wish.settled is not None and wish.settled < guarded.price else None
    price = PriceVersion(
        version, amounts.net, amounts.gross, market.currency, at_us, wish.cause, wish.promotion_id, settled
    )
    return Published(wish.key, price, guarded.binding, explain_guarded(guarded))


def _prior(price: PriceVersion, history: PriceHistory, law: Law) -> PriorPrice | None:
    """Return the lowest price before a reduction, if the price is one that may be claimed."""
    if not price.promotion_id:
        return None
    grown = history.append(price)
    began = grown.reduction_began(price.since_us)
    prior = grown.prior_price(began, law.prior_price_days or _PRIOR_DAYS) if began is not None else None
    return prior if reduction_ppm(price.gross, prior) is not None else None


def check_currency(rulebook: Rulebook, markets: Collection[str], currency: str) -> None:
    """Check that a promotion's amounts are in the currency of every market it holds for.

    Raises:
        RapportError: MARKET_NOT_DECLARED, CURRENCY_MISMATCH; PROMOTION_INVALID: it holds for markets of any currency.
    """
    if not markets:
        raise ERRORS.error("PROMOTION_INVALID", "amounts need the markets they hold for", field="terms.scope.markets")
    for name in markets:
        if rulebook.market(name).currency != currency:
            raise ERRORS.error("CURRENCY_MISMATCH", f"{name} is not sold in {currency}", field="terms")


async def listing_of(catalogue: Catalogue, key: Key) -> tuple[Product, Listing]:
    """Return a listing and its product.

    Raises:
        RapportError: LISTING_NOT_FOUND.
    """
    product = (await catalogue.products([key.product_id])).get(key.product_id)
    if product is not None:
        for listing in product.listings:
            if (listing.variant_id, listing.market) == (key.variant_id, key.market):
                return product, listing
    raise ERRORS.error("LISTING_NOT_FOUND", "the product is not sold in the market", field="product_id")


def _check_market(markets: Mapping[str, Market], listing: Listing) -> None:
    # Listings are in order by now, not as they were sent: the market says which one is meant.
    market = markets.get(listing.market)
    if market is None:
        what = f"the market {listing.market} was not declared"
        raise ERRORS.error("MARKET_NOT_DECLARED", what, field="product.listings.market")
    if market.currency != listing.currency:
        what = f"must be in {market.currency} in the market {listing.market}"
        raise ERRORS.error("CURRENCY_MISMATCH", what, field="product.listings.unit_cost")
