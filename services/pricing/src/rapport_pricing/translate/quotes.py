"""Quotes: asked for, answered, kept, and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rapport.pricing.v1 import events_pb2, pricing_pb2, quote_pb2
from rapport_privacy.translate import decision_message

from rapport_pricing.app.claims import claim
from rapport_pricing.app.decisions import Kept
from rapport_pricing.app.pricing import AskedLine, Brought
from rapport_pricing.app.quoting import Asked, Made, promotions_of
from rapport_pricing.app.shelf import Lot
from rapport_pricing.app.stored import ProductState
from rapport_pricing.app.times import moment_of
from rapport_pricing.app.trials import Assigned
from rapport_pricing.domain.explaining import CODES
from rapport_pricing.domain.lines import Part, PricedLine
from rapport_pricing.domain.personal import Permit, PersonalOutcome
from rapport_pricing.domain.promotions import Promotion
from rapport_pricing.domain.tax import Totals
from rapport_pricing.translate.money import set_money
from rapport_pricing.translate.products import AVAILABILITIES

_PARTS: Final = {
    Part.PUBLISHED: quote_pb2.COMPONENT_KIND_PUBLISHED,
    Part.PROMOTION: quote_pb2.COMPONENT_KIND_PROMOTION,
    Part.PERSONAL: quote_pb2.COMPONENT_KIND_PERSONAL,
    Part.TAX: quote_pb2.COMPONENT_KIND_TAX,
}
OUTCOMES: Final = {
    PersonalOutcome.LOWERED: pricing_pb2.PERSONAL_OUTCOME_LOWERED,
    PersonalOutcome.NO_CUSTOMER: pricing_pb2.PERSONAL_OUTCOME_NO_CUSTOMER,
    PersonalOutcome.NOT_PERMITTED: pricing_pb2.PERSONAL_OUTCOME_NOT_PERMITTED,
    PersonalOutcome.NOT_LAWFUL: pricing_pb2.PERSONAL_OUTCOME_NOT_LAWFUL,
    PersonalOutcome.NOTHING_OFFERED: pricing_pb2.PERSONAL_OUTCOME_NOTHING_OFFERED,
    PersonalOutcome.NOT_LOWER: pricing_pb2.PERSONAL_OUTCOME_NOT_LOWER,
}
"""Whether personal data lowered a quote, as contracts say it."""

AnyTotals = quote_pb2.Quote | pricing_pb2.Redemption


def asked_of(request: pricing_pb2.GetQuoteRequest) -> Asked:
    """Return what is asked."""
    return Asked(
        request.profile_id,
        request.market,
        request.brand_id,
        request.channel,
        tuple([AskedLine(each.product_id, each.variant_id, each.quantity) for each in request.lines]),
        frozenset(request.codes),
        request.loyalty,
        request.at_least if request.HasField("at_least") else None,
    )


def quote_message(made: Made) -> quote_pb2.Quote:
    """Return a quote as it is answered."""
    priced = made.priced
    quote, basket = priced.quote, priced.quote.basket
    currency = quote.currency
    message = quote_pb2.Quote(
        quote_id=quote.quote_id,
        decision_id=quote.decision_id,
        profile_id=quote.customer_id,
        market=quote.market,
        channel=quote.channel,
        personalised=basket.personalised,
        law_rule_ids=quote.law_rules,
        permission=decision_message(made.permission) if made.permission is not None else None,
    )
    used = promotions_of(basket)
    for line, lot, law in zip(basket.lines, priced.lots, priced.laws, strict=True):
        _draw(message.lines.add(), lot, line, currency)
        found = claim(lot, law, line, used, quote.issued_us)
        if found is not None:
            set_money(message.lines[-1].prior, found.prior, currency)
            message.lines[-1].reduction_ppm = found.reduction_ppm
        message.lines[-1].availability = availability_of(lot)
    put_totals(message, basket.totals, currency)
    for use in basket.uses:
        put_use(message.uses.add(), use.promotion, use.amount, currency)
    for text in priced.disclosures:
        message.disclosures.add(rule_id=text.rule_id, text_code=text.text_code, text=text.text)
    message.issued_at.FromMicroseconds(quote.issued_us)
    message.expires_at.FromMicroseconds(quote.expires_us)
    signed = message.signed
    signed.document, signed.kid, signed.signature = made.document, made.kid, made.signature
    return message


def _draw(message: quote_pb2.QuotedLine, lot: Lot, line: PricedLine, currency: str) -> None:
    """Say what a line costs; one that costs the same for everybody says the same until its price changes."""
    drawn = lot.drawn
    if drawn is not None and drawn[0] is line:
        message.MergeFrom(drawn[1])  # type: ignore[arg-type] # what was kept below
        return
    put_line(message, line, currency)
    if line.line.kept is not None and line.line.kept.priced is line:
        kept = quote_pb2.QuotedLine()
        kept.CopyFrom(message)
        lot.drawn = line, kept


def put_line(message: quote_pb2.QuotedLine, line: PricedLine, currency: str) -> None:
    """Say what a line costs."""
    asked, amount, components = line
    message.product_id, message.variant_id = asked.product_id, asked.variant_id
    message.quantity, message.price_version = asked.quantity, asked.price_version
    set_money(message.list, asked.published, currency)
    set_money(message.net, amount.net, currency)
    set_money(message.tax, amount.tax, currency)
    set_money(message.gross, amount.gross, currency)
    for part, ref, version, taken, rule in components:
        component = message.components.add(
            kind=_PARTS[part], text_code=CODES[part], reference=ref, version=version, held_by_rule=rule
        )
        set_money(component.amount, taken, currency)


def put_totals(message: AnyTotals, totals: Totals, currency: str) -> None:
    """Say what a basket costs."""
    set_money(message.net, totals.net, currency)
    set_money(message.tax, totals.tax, currency)
    set_money(message.gross, totals.gross, currency)
    set_money(message.all_in, totals.all_in, currency)


def put_use(message: quote_pb2.PromotionUse, promotion: Promotion, amount: int, currency: str) -> None:
    """Say what a promotion took off."""
    message.promotion_id, message.version = promotion.promotion_id, promotion.version
    set_money(message.amount, amount, currency)
    message.reserved = promotion.caps.any


def availability_of(lot: Lot) -> events_pb2.Availability.ValueType:
    """Return whether a listing can be bought; if nobody counted it, it can."""
    if lot.product.state is ProductState.DISCONTINUED:
        return events_pb2.AVAILABILITY_DISCONTINUED
    return AVAILABILITIES[lot.stock.availability] if lot.stock is not None else events_pb2.AVAILABILITY_IN_STOCK


def kept_of(made: Made, message: quote_pb2.Quote) -> Kept:
    """Return a quote as it is kept."""
    priced = made.priced
    quote, brought = priced.quote, priced.brought
    inputs = [
        [brought.permit.granted, brought.permit.reference, brought.permit.position],
        sorted(brought.codes),
        brought.loyalty,
        [[each.promotion_id, each.version] for each in brought.offers],
        sorted(brought.exhausted),
        [list(each) for each in priced.assigned],
    ]
    return Kept(
        quote.decision_id,
        quote.quote_id,
        quote.customer_id,
        moment_of(quote.issued_us),
        priced.epoch,
        priced.position,
        message.SerializeToString(),
        json.dumps(inputs, separators=(",", ":")),
        priced.assigned,
        quote.currency,
    )


def brought_of(inputs: str, customer_id: str, offers: Mapping[tuple[str, int], Promotion]) -> Brought:
    """Return what a kept quote was made from besides the catalogue.

    Raises:
        KeyError: An offer is not held any more.
    """
    permit, codes, loyalty, brought, exhausted, *_ = json.loads(inputs)
    return Brought(
        customer_id,
        Permit(*permit),
        frozenset(codes),
        loyalty,
        tuple(offers[offer_id, version] for offer_id, version in brought),
        frozenset(exhausted),
    )


class Personal(NamedTuple):
    """What personal data a kept quote was made from.

    Attributes:
        permitted: Whether the gate permitted it.
        loyalty: Tier of the customer; empty for none.
        offers: To the customer, with their versions.
        exhausted: Promotions that would have been used, had a use been left.
        assigned: Arms of experiments that it was given.
    """

    permitted: bool
    loyalty: str
    offers: Sequence[tuple[str, int]]
    exhausted: Sequence[str]
    assigned: Sequence[Assigned]

    @property
    def offered(self) -> bool:
        """Whether there was anything that could lower a price for this customer alone."""
        return bool(self.loyalty or self.offers or any(each.is_account for each in self.assigned))


def personal_in(inputs: str) -> Personal:
    """Return what personal data a kept quote was made from."""
    permit, _, loyalty, offers, exhausted, *more = json.loads(inputs)
    assigned = [Assigned(*each) for given in more for each in given]
    return Personal(permit[0], loyalty, [(name, version) for name, version in offers], exhausted, assigned)
