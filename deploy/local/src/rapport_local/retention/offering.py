"""What may be offered and written: prices with a floor, an offer to win people back, a mail about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from rapport.notification.v1 import authored_pb2 as notification_pb2
from rapport.notification.v1 import template_pb2, trigger_pb2
from rapport.pricing.v1 import authored_pb2, catalog_pb2, product_pb2
from rapport_chassis.times import stamp

from rapport_local.ingest.cells import Fault, money, number, own_id, text, whole
from rapport_local.ingest.mapping import Mapping, Retention
from rapport_local.ingest.tables import Files
from rapport_local.retention.desk import Desk, request_id

WINBACK: Final = "winback"
"""The promotion that the pricing service makes offers from."""

_OFFER: Final = "retention_offer"
_CATEGORY: Final = "imported"
_REASON: Final = "retention of imported customers"
_MARGIN: Final = (110, 100)
_PPM: Final = 10_000


class Sold(NamedTuple):
    """A product that was sold: for how much in all, and what was paid for one most often."""

    product_id: str
    earned: Decimal
    price: Decimal


def best_sellers(mapping: Mapping, files: Files, most: int) -> list[Sold]:
    """Return what was sold for most, the greatest first.

    Raises:
        Failure: A file cannot be read.
    """
    earned: defaultdict[str, Decimal] = defaultdict(Decimal)
    paid = Counter[tuple[str, Decimal]]()
    for product_id, quantity, price in _lines(mapping, files):
        earned[product_id] += quantity * price
        paid[product_id, price] += 1
    usual: dict[str, Decimal] = {}
    for (product_id, price), _ in paid.most_common():
        usual.setdefault(product_id, price)
    best = sorted(earned, key=lambda each: -earned[each])[:most]
    return [Sold(each, earned[each], usual[each]) for each in best]


async def priced(desk: Desk, plan: Retention, sold: list[Sold]) -> None:
    """Declare market and products, publish a price for each, and put the offer in force.

    Raises:
        RemoteError: Whoever is logged in may not do that.
    """
    await _activated(
        desk,
        await desk.catalog.SetMarket(
            catalog_pb2.SetMarketRequest(
                request_id=request_id(), market=plan.market, terms=authored_pb2.MarketTerms(currency=plan.currency)
            )
        ),
    )
    await _activated(desk, await desk.catalog.SetPricePolicy(_floor()))
    await _activated(desk, await desk.catalog.SetPromotion(_winback(plan)))
    for each in sold:
        cost = (each.price * Decimal(str(plan.cost_share))).quantize(Decimal("0.01"))
        listing = product_pb2.Listing(market=plan.market, unit_cost=money(cost, plan.currency))
        product = product_pb2.Product(product_id=each.product_id, category=_CATEGORY, listings=[listing])
        await desk.catalog.UpsertProduct(catalog_pb2.UpsertProductRequest(request_id=request_id(), product=product))
        await desk.catalog.PublishPrice(
            catalog_pb2.PublishPriceRequest(
                request_id=request_id(),
                product_id=each.product_id,
                market=plan.market,
                price=money(each.price, plan.currency),
            )
        )


async def written(desk: Desk, plan: Retention) -> None:
    """Put the template and the trigger in force that turn an offer into a mail.

    Raises:
        RemoteError: Whoever is logged in may not do that.
    """
    templates = await desk.templates.ListTemplates(template_pb2.ListTemplatesRequest(template_id=_OFFER))
    newest = templates.templates[0].status
    if newest.state == notification_pb2.VERSION_STATE_DRAFT:
        await desk.templates.ActivateTemplate(
            template_pb2.ActivateTemplateRequest(
                request_id=request_id(), template_id=_OFFER, version=newest.version, reason=_REASON
            )
        )
    shipped = (await desk.triggers.ListTriggers(trigger_pb2.ListTriggersRequest(trigger_id=_OFFER))).triggers[0]
    shipped.terms.purpose_id = plan.purpose
    drafted = await desk.triggers.UpsertTrigger(
        trigger_pb2.UpsertTriggerRequest(request_id=request_id(), trigger_id=_OFFER, terms=shipped.terms)
    )
    await desk.triggers.ActivateTrigger(
        trigger_pb2.ActivateTriggerRequest(
            request_id=request_id(), trigger_id=_OFFER, version=drafted.status.version, reason=_REASON
        )
    )


def _lines(mapping: Mapping, files: Files) -> Iterator[tuple[str, int, Decimal]]:
    """Yield product, pieces and price of every row of an order that can be read; what cannot was rejected before."""
    for table in mapping.transactions:
        if table.kind != "order_placed":
            continue
        for each in files.belonging(table.name, table):
            with suppress(Fault):
                price = number(table.unit_price, each.row, "unit_price")
                product = text(table.product, each.row, "product", required=True)
                if each.fault is None and price > 0:
                    pieces = whole(table.quantity, each.row, "quantity")
                    yield own_id("prd", mapping.name, product), pieces, price


def _floor() -> catalog_pb2.SetPricePolicyRequest:
    numerator, denominator = _MARGIN
    floor = authored_pb2.PriceRule(
        rule_id="cost.margin",
        tier=product_pb2.RULE_TIER_COST,
        side=authored_pb2.RULE_SIDE_FLOOR,
        of=authored_pb2.RULE_QUANTITY_COST,
        numerator=numerator,
        denominator=denominator,
        strict=True,
    )
    return catalog_pb2.SetPricePolicyRequest(
        request_id=request_id(), policy_id=_CATEGORY, terms=authored_pb2.PricePolicyTerms(rules=[floor])
    )


def _winback(plan: Retention) -> catalog_pb2.SetPromotionRequest:
    now = datetime.now(UTC)
    terms = authored_pb2.PromotionTerms(
        percent_ppm=plan.percent * _PPM,
        audience=authored_pb2.PROMOTION_AUDIENCE_INDIVIDUAL,
        scope=authored_pb2.TermsScope(markets=[plan.market]),
        valid_from=stamp(now - timedelta(minutes=1)),
        valid_until=stamp(now + timedelta(days=plan.days)),
    )
    return catalog_pb2.SetPromotionRequest(request_id=request_id(), promotion_id=WINBACK, terms=terms)


async def _activated(desk: Desk, version: authored_pb2.AuthoredVersion) -> None:
    await desk.catalog.ActivateVersion(
        catalog_pb2.ActivateVersionRequest(
            request_id=request_id(), kind=version.kind, name=version.name, version=version.version, reason=_REASON
        )
    )
