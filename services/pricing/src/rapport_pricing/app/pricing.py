"""Prices a basket from a catalogue, what was authored, the law and what the customer brings: the same for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from rapport_pricing.app.protecting import protections
from rapport_pricing.app.rules import Rulebook
from rapport_pricing.app.shelf import Lot, Shelf
from rapport_pricing.app.trials import Assigned, assigned
from rapport_pricing.domain.baskets import price_basket
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.law import Disclosure, Law
from rapport_pricing.domain.personal import Permit, entitlements
from rapport_pricing.domain.promotions import Audience, Promotion
from rapport_pricing.domain.quotes import Quote

_LOYALTY: Final = "loyalty_tier"
_OFFER: Final = "offer"


class AskedLine(NamedTuple):
    """A product, a variant of it or none, and how many."""

    product_id: str
    variant_id: str
    quantity: int


class Brought(NamedTuple):
    """What a price is made from besides the basket and the catalogue.

    Attributes:
        customer_id: The id that stands for the customer; empty for nobody in particular.
        permit: What the gate answered.
        codes: Typed in.
        loyalty: Tier of the customer.
        offers: To the customer.
        exhausted: Promotions that are used up.
    """

    customer_id: str
    permit: Permit
    codes: frozenset[str]
    loyalty: str
    offers: tuple[Promotion, ...] = ()
    exhausted: frozenset[str] = frozenset()


class Naming(NamedTuple):
    """What names a quote and says when and where it holds."""

    quote_id: str
    decision_id: str
    channel: str
    issued_us: int


class Priced(NamedTuple):
    """A quote with what it was made from.

    Attributes:
        quote: The quote.
        lots: What its lines are of.
        disclosures: Texts that must stand beside it.
        brought: What it was made from besides the catalogue.
        epoch: Life of the catalogue.
        position: What was known of it.
        laws: What holds for each line.
        assigned: Arms of experiments that it was given.
    """

    quote: Quote
    lots: tuple[Lot, ...]
    disclosures: tuple[Disclosure, ...]
    brought: Brought
    epoch: str
    position: int
    laws: tuple[Law, ...]
    assigned: tuple[Assigned, ...] = ()


def price(shelf: Shelf, market_name: str, lines: Sequence[AskedLine], brought: Brought, naming: Naming) -> Priced:
    """Price a basket: the same arguments give the same answer, for ever.

    Args:
        shelf: The catalogue.
        market_name: Where it is sold.
        lines: What is asked for.
        brought: What else the price is made from.
        naming: What names the quote.

    Raises:
        RapportError: MARKET_NOT_DECLARED, LISTING_NOT_FOUND, PRODUCT_PAUSED, PRICE_NOT_FOUND, BASKET_INVALID,
            CURRENCY_MISMATCH, INPUT_BANNED, GUARDRAILS_CONTRADICT.
    """
    if len(lines) > 1 and len({each[:2] for each in lines}) < len(lines):
        raise ERRORS.error("BASKET_INVALID", "a product or variant is in the basket twice", field="lines")
    at_us = naming.issued_us
    rulebook = shelf.rules.at(at_us)
    market = rulebook.market(market_name)
    lots = tuple([shelf.lot(each.product_id, each.variant_id, market_name) for each in lines])
    laws = tuple([shelf.law(lot, at_us) for lot in lots])
    law = _together(laws)
    inputs = [name for name, value in ((_LOYALTY, brought.loyalty), (_OFFER, brought.offers)) if value]
    entitled = entitlements(
        brought.permit, law, codes=brought.codes, loyalty=brought.loyalty, offers=brought.offers, inputs=inputs
    )
    known = bool(brought.customer_id)
    account = brought.customer_id if brought.permit.granted else ""
    given = assigned(rulebook.trials, shelf.allocations, market_name, account, at_us) if rulebook.trials else ()
    tried = frozenset([each.promotion_id for each in given]) if given else frozenset()
    if brought.exhausted:
        book = rulebook.book_without(brought.exhausted, known=known, tried=tried)
    elif tried:
        book = rulebook.book_with(tried, known=known)
    else:
        book = rulebook.book if known else rulebook.book_for_nobody
    if account and law.personal_allowed:
        more = [
            *_of_arms(rulebook, given, brought),
            *(protections(lots, at_us) if brought.loyalty or brought.offers else ()),
        ]
        entitled = replace(entitled, offers=(*entitled.offers, *more)) if more else entitled
    basket = price_basket(
        [lot.line(shelf, rulebook, market, each.quantity, at_us) for lot, each in zip(lots, lines, strict=True)],
        book,
        market=market_name,
        at_us=at_us,
        tax=market.tax,
        brought=entitled,
    )
    disclosures = law.disclosures if basket.personalised else ()
    quote = Quote(
        quote_id=naming.quote_id,
        decision_id=naming.decision_id,
        market=market_name,
        currency=market.currency,
        channel=naming.channel,
        customer_id=brought.customer_id,
        basket=basket,
        law_rules=law.rule_ids,
        disclosures=tuple([each.text_code for each in disclosures]),
        permit=brought.permit.reference if basket.personalised else "",
        issued_us=at_us,
        expires_us=at_us + market.quote_valid_us,
    )
    return Priced(quote, lots, disclosures, brought, shelf.epoch, shelf.position, laws, tuple(given))


def _of_arms(rulebook: Rulebook, given: Sequence[Assigned], brought: Brought) -> list[Promotion]:
    """Return what arms of accounts lower prices by."""
    named = [rulebook.promotions.get(each.promotion_id) for each in given if each.is_account]
    return [
        each
        for each in named
        if each is not None and each.audience is Audience.INDIVIDUAL and each.promotion_id not in brought.exhausted
    ]


def _together(laws: tuple[Law, ...]) -> Law:
    """Return what holds for a whole basket: the strictest of what holds for its lines."""
    first = laws[0]
    others = {id(each): each for each in laws if each is not first}
    if not others:
        return first
    every = (first, *others.values())
    texts = {each.rule_id: each for law in every for each in law.disclosures}
    return Law(
        rule_ids=tuple(sorted({rule for law in every for rule in law.rule_ids})),
        personal_allowed=all(law.personal_allowed for law in every),
        disclosures=tuple(texts[rule] for rule in sorted(texts)),
        banned_inputs=frozenset().union(*(law.banned_inputs for law in every)),
        prior_price_days=max(law.prior_price_days for law in every),
        prior_price_for=frozenset().union(*(law.prior_price_for for law in every)),
        all_in_total=any(law.all_in_total for law in every),
        emergency=(),
        standing=(),
    )
