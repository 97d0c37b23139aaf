"""Products, stock and published prices, as messages of the contract and as the service keeps them."""

from __future__ import annotations

from typing import Any, Final

from rapport.pricing.v1 import catalog_pb2, events_pb2, product_pb2
from rapport_chassis.times import moment

from rapport_pricing.app.stored import Availability, Key, Listing, Product, ProductState, Published, Stock
from rapport_pricing.app.times import micros_of
from rapport_pricing.domain.explaining import RuleRow
from rapport_pricing.domain.guardrails import Tier, Verdict
from rapport_pricing.domain.ledger import Cause
from rapport_pricing.translate.money import money_of, set_money

_STATES: Final = {
    product_pb2.PRODUCT_STATE_UNSPECIFIED: ProductState.ON_SALE,
    product_pb2.PRODUCT_STATE_ON_SALE: ProductState.ON_SALE,
    product_pb2.PRODUCT_STATE_PAUSED: ProductState.PAUSED,
    product_pb2.PRODUCT_STATE_DISCONTINUED: ProductState.DISCONTINUED,
}
_STATE_NUMBERS: Final = {state: number for number, state in _STATES.items()}
AVAILABILITIES: Final = {
    Availability.IN_STOCK: events_pb2.AVAILABILITY_IN_STOCK,
    Availability.LOW: events_pb2.AVAILABILITY_LOW,
    Availability.OUT_OF_STOCK: events_pb2.AVAILABILITY_OUT_OF_STOCK,
    Availability.DISCONTINUED: events_pb2.AVAILABILITY_DISCONTINUED,
}
CAUSES: Final = {
    Cause.LEARNED: events_pb2.PRICE_CAUSE_LEARNED,
    Cause.AUTHORED: events_pb2.PRICE_CAUSE_AUTHORED,
    Cause.GUARDRAIL: events_pb2.PRICE_CAUSE_GUARDRAIL,
    Cause.LAW: events_pb2.PRICE_CAUSE_LAW,
    Cause.PROMOTION: events_pb2.PRICE_CAUSE_PROMOTION,
    Cause.STOCK: events_pb2.PRICE_CAUSE_STOCK,
}
_VERDICTS: Final = {
    Verdict.NOT_APPLICABLE: product_pb2.RULE_VERDICT_NOT_APPLICABLE,
    Verdict.MET: product_pb2.RULE_VERDICT_MET,
    Verdict.BINDING: product_pb2.RULE_VERDICT_BINDING,
    Verdict.YIELDED: product_pb2.RULE_VERDICT_YIELDED,
}
TIERS: Final = {
    Tier.LAW: product_pb2.RULE_TIER_LAW,
    Tier.COST: product_pb2.RULE_TIER_COST,
    Tier.CONTRACT: product_pb2.RULE_TIER_CONTRACT,
    Tier.RATE: product_pb2.RULE_TIER_RATE,
    Tier.STRATEGY: product_pb2.RULE_TIER_STRATEGY,
}


def product_of(message: product_pb2.Product) -> Product:
    """Return a product.

    Raises:
        RapportError: MONEY_INVALID.
    """
    listings = []
    for at, each in enumerate(message.listings):
        cost = money_of(each.unit_cost, f"product.listings[{at}].unit_cost")
        listings.append(Listing(each.variant_id, each.market, cost.minor, cost.currency, each.tax_ppm))
    updated = micros_of(moment(message.updated_at)) if message.HasField("updated_at") else 0
    return Product(
        message.product_id,
        message.version,
        message.category,
        message.brand_id,
        _STATES[message.state],
        tuple(sorted(listings)),
        updated,
    )


def product_message(product: Product) -> product_pb2.Product:
    """Return a product as a message."""
    message = product_pb2.Product(
        product_id=product.product_id,
        version=product.version,
        category=product.category,
        brand_id=product.brand_id,
        state=_STATE_NUMBERS[product.state],
    )
    message.updated_at.FromMicroseconds(product.updated_us)
    for each in product.listings:
        listing = message.listings.add(variant_id=each.variant_id, market=each.market, tax_ppm=each.tax_ppm)
        set_money(listing.unit_cost, each.cost, each.currency)
    return message


def key_of(request: catalog_pb2.UpdateInventoryRequest | catalog_pb2.PublishPriceRequest) -> Key:
    """Return the listing that a request is about."""
    return Key(request.product_id, request.variant_id, request.market)


def stock_of(request: catalog_pb2.UpdateInventoryRequest) -> Stock:
    """Return what was counted, not yet a version."""
    expected = micros_of(moment(request.expected_at)) if request.HasField("expected_at") else None
    counted = micros_of(moment(request.occurred_at))
    return Stock(key_of(request), 0, request.quantity, request.low_at, expected, counted)


def inventory_message(stock: Stock) -> product_pb2.Inventory:
    """Return what is left as a message."""
    message = product_pb2.Inventory(
        **stock.key._asdict(),
        version=stock.version,
        availability=AVAILABILITIES[stock.availability],
        quantity=stock.quantity,
    )
    if stock.expected_us is not None:
        message.expected_at.FromMicroseconds(stock.expected_us)
    message.occurred_at.FromMicroseconds(stock.occurred_us)
    return message


def published_message(published: Published) -> product_pb2.PublishedPrice:
    """Return a published price as a message."""
    price = published.price
    message = product_pb2.PublishedPrice(
        **published.key._asdict(),
        version=price.version,
        cause=CAUSES[price.cause],
        promotion_id=price.promotion_id,
        binding_rule=published.binding,
    )
    set_money(message.net, price.net, price.currency)
    set_money(message.gross, price.gross, price.currency)
    message.valid_from.FromMicroseconds(price.since_us)
    for each in published.findings:
        finding = message.rules.add(
            rule_id=each.rule_id, tier=TIERS[Tier[each.tier.upper()]], verdict=_VERDICTS[each.verdict]
        )
        if each.floor is not None:
            set_money(finding.floor, each.floor, price.currency)
        if each.ceiling is not None:
            set_money(finding.ceiling, each.ceiling, price.currency)
    return message


def findings_json(findings: tuple[RuleRow, ...]) -> list[list[Any]]:
    """Return what guardrails did as it is stored."""
    return [[each.rule_id, each.tier, each.floor, each.ceiling, each.verdict.value] for each in findings]


def findings_of(stored: list[list[Any]]) -> tuple[RuleRow, ...]:
    """Return what guardrails did from where it is stored."""
    return tuple(RuleRow(rule, tier, floor, ceiling, Verdict(done)) for rule, tier, floor, ceiling, done in stored)
