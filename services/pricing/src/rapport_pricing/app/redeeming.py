"""Use case: a quote is used in an order, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from rapport_pricing.app.documents import Document
from rapport_pricing.app.protecting import protection_named
from rapport_pricing.app.rules import Kind
from rapport_pricing.app.shelf import Shelf
from rapport_pricing.app.stored import ProductState
from rapport_pricing.domain.baskets import price_basket
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.lines import PricedBasket, Use
from rapport_pricing.domain.promotions import Audience, Entitlements, Promotion, PromotionBook
from rapport_pricing.domain.quotes import Quote, Settled, check_redeemable, settle


class Order(NamedTuple):
    """An order that a quote is used in: who orders, where, when, under which id of the caller's.

    The customer's id is the one that stands for them now, the named one whichever the caller knows.
    """

    order_id: str
    customer_id: str
    channel: str
    at_us: int
    source_event_id: str
    named_id: str = ""


class Paid(NamedTuple):
    """A use as it is paid: the promotion, what the quote said it takes off, and what it takes off now."""

    promotion: Promotion
    quoted: int
    paid: int


def check(document: Document, basket: PricedBasket, bound_to: str, order: Order) -> None:
    """Check that a quote may be used in an order.

    Args:
        document: The quote, verified.
        basket: What it says of the basket.
        bound_to: The id that stands now for the customer it was made for; empty for whoever holds it.
        order: The order.

    Raises:
        RapportError: QUOTE_OTHER_CUSTOMER, QUOTE_OTHER_CHANNEL, QUOTE_EXPIRED.
    """
    quote = Quote(
        quote_id=document.quote_id,
        decision_id=document.decision_id,
        market=document.market,
        currency=document.currency,
        channel=document.channel,
        customer_id=bound_to,
        basket=basket,
        law_rules=document.law_rules,
        disclosures=document.disclosures,
        permit=document.permit,
        issued_us=document.issued_us,
        expires_us=document.expires_us,
    )
    check_redeemable(quote, customer_id=order.customer_id, channel=order.channel, at_us=order.at_us)


def basket_of(document: Document, shelf: Shelf, offers: Mapping[str, Promotion]) -> PricedBasket:
    """Return the basket that a quote is of.

    Args:
        document: The quote.
        shelf: The catalogue: every version of a promotion that was ever in force.
        offers: Offers that it used, by id.

    Raises:
        RapportError: RESERVATION_LAPSED: an offer that it used is not there any more.
    """
    uses = []
    for used in document.uses:
        found = (
            offers.get(used.promotion_id)
            or protection_named(shelf, document.market, used.promotion_id, used.version)
            or shelf.rules.version(Kind.PROMOTION, used.promotion_id, used.version)
        )
        if not isinstance(found, Promotion):
            raise ERRORS.error("RESERVATION_LAPSED", "an offer of the quote is not there any more")
        uses.append(Use(found, used.amount))
    return PricedBasket(document.lines, document.totals, tuple(uses), document.personalised)


def settled(document: Document, quoted: PricedBasket, shelf: Shelf, at_us: int) -> Settled:
    """Return what is paid: what was quoted, or less where a published price has dropped since.

    The promotions of the quote hold as promised until it expires, whatever became of them meanwhile.

    Raises:
        RapportError: PRICE_RISEN; LISTING_NOT_FOUND, PRODUCT_PAUSED, PRICE_NOT_FOUND: it is not sold any more.
    """
    rulebook = shelf.rules.at(at_us)
    market = rulebook.market(document.market)
    lines = []
    for priced in quoted.lines:
        line = priced.line
        lot = shelf.lot(line.product_id, line.variant_id, document.market)
        if lot.product.state is not ProductState.ON_SALE:
            raise ERRORS.error("PRODUCT_PAUSED", "the product is not sold at the moment", field="quote")
        current = lot.history.at(at_us)
        if current is None:
            raise ERRORS.error("PRICE_NOT_FOUND", "no price is published for the product", field="quote")
        published = current.gross if market.tax.included else current.net
        lines.append(replace(line, published=published, price_version=current.version))
    promotions = [use.promotion for use in quoted.uses]
    now = price_basket(
        lines,
        PromotionBook(each for each in promotions if each.audience is not Audience.INDIVIDUAL),
        market=document.market,
        at_us=document.issued_us,
        tax=market.tax,
        brought=Entitlements(
            frozenset(each.code for each in promotions if each.code),
            next((each.loyalty for each in promotions if each.loyalty), ""),
            tuple(each for each in promotions if each.audience is Audience.INDIVIDUAL),
        ),
    )
    return settle(quoted, now)


def paid_uses(quoted: PricedBasket, basket: PricedBasket) -> list[Paid]:
    """Return the uses of a quote with what each takes off now."""
    now = {use.promotion.promotion_id: use.amount for use in basket.uses}
    return [Paid(use.promotion, use.amount, now.get(use.promotion.promotion_id, 0)) for use in quoted.uses]
