"""Products, stock and published prices, as callers keep and read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from pricing_desk import Desk, open_desk
from pricing_installation import PricingInstallation
from pricing_words import minor, money, product, promotion_terms, request_id
from rapport.pricing.v1 import authored_pb2, catalog_pb2, events_pb2, product_pb2
from rapport_chassis.times import stamp
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually


async def imported(desk: Desk, *batches: Sequence[product_pb2.Product]) -> list[catalog_pb2.ImportProductsResponse]:
    async def messages() -> AsyncIterator[catalog_pb2.ImportProductsRequest]:
        for at, batch in enumerate(batches):
            yield catalog_pb2.ImportProductsRequest(batch=at, products=batch)

    return [answer async for answer in desk.shop.ImportProducts(messages())]


def counted(
    made: product_pb2.Product, pieces: int, at: datetime, low_at: int = 3
) -> catalog_pb2.UpdateInventoryRequest:
    return catalog_pb2.UpdateInventoryRequest(
        request_id=request_id(),
        product_id=made.product_id,
        market="DE",
        quantity=pieces,
        low_at=3,
        occurred_at=stamp(at),
    )


async def told(installation: PricingInstallation, product_id: str, versions: int) -> list[events_pb2.PriceChanged]:
    events = await installation.told(
        events_pb2.PriceChanged, lambda each: each.product_id == product_id, lambda found: len(found) == versions
    )
    return sorted(events, key=lambda each: each.version)


async def test_a_product_is_added_once_and_replaced_as_a_new_version(desk: Desk) -> None:
    made = product()
    first = await desk.put(made)
    assert (first.version, first.listings[0].unit_cost) == (1, money(600))
    assert (await desk.put(made)).version == 1
    made.category = "boots"
    assert (await desk.put(made)).version == 2
    found = await desk.shop.GetProduct(catalog_pb2.GetProductRequest(product_id=made.product_id))
    assert (found.version, found.category) == (2, "boots")
    with refused("PRODUCT_NOT_FOUND"):
        await desk.shop.GetProduct(catalog_pb2.GetProductRequest(product_id=product().product_id))


async def test_a_repeated_request_is_answered_as_before_and_another_under_its_id_is_refused(desk: Desk) -> None:
    request = catalog_pb2.UpsertProductRequest(request_id=request_id(), product=product())
    first = await desk.shop.UpsertProduct(request)
    assert await desk.shop.UpsertProduct(request) == first
    request.product.category = "hats"
    with refused("REQUEST_ID_REUSED"):
        await desk.shop.UpsertProduct(request)


async def test_an_import_writes_each_batch_whole_or_not_at_all_and_may_be_sent_again(desk: Desk) -> None:
    good, elsewhere = [product() for _ in range(3)], product(markets=("FR",))
    answers = await imported(desk, good, [product(), elsewhere], good)
    assert [each.batch for each in answers] == [0, 1, 2]
    assert [each.changed for each in answers] == [3, 0, 0]
    assert [each.status.code for each in answers] == [0, 9, 0]
    listed = await desk.shop.ListProducts(catalog_pb2.ListProductsRequest(page_size=500))
    assert {each.product_id for each in good} <= {each.product_id for each in listed.products}
    assert elsewhere.product_id not in {each.product_id for each in listed.products}


async def test_products_are_listed_page_by_page(desk: Desk) -> None:
    await imported(desk, [product() for _ in range(5)])
    whole = await desk.shop.ListProducts(catalog_pb2.ListProductsRequest(page_size=500))
    request = catalog_pb2.ListProductsRequest(page_size=2)
    found: list[product_pb2.Product] = []
    while True:
        page = await desk.shop.ListProducts(request)
        found += page.products
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [each.product_id for each in found] == sorted(each.product_id for each in whole.products)


async def test_published_prices_are_versions_that_are_told_of_and_kept_for_ever(
    desk: Desk, installation: PricingInstallation
) -> None:
    made = await desk.put(product())
    first = await desk.publish(made, 1190)
    second = await desk.publish(made, 1500, expected_version=1)
    assert (first.version, minor(first.gross), minor(first.net)) == (1, 1190, 1000)
    assert (second.version, minor(second.gross)) == (2, 1500)
    with refused("PRICE_VERSION_CONFLICT"):
        await desk.publish(made, 1400, expected_version=1)
    request = catalog_pb2.GetPriceHistoryRequest(product_id=made.product_id, market="DE", page_size=1)
    page = await desk.shop.GetPriceHistory(request)
    request.page_token = page.next_page_token
    rest = await desk.shop.GetPriceHistory(request)
    assert [minor(each.gross) for each in (*page.prices, *rest.prices)] == [1500, 1190]
    events = await told(installation, made.product_id, 2)
    assert [(each.version, minor(each.gross)) for each in events] == [(1, 1190), (2, 1500)]
    assert not events[0].HasField("previous_gross")
    assert minor(events[1].previous_gross) == 1190
    assert not events[1].HasField("prior_gross")


async def test_a_promotional_price_tells_the_lowest_price_before_it(
    desk: Desk, installation: PricingInstallation
) -> None:
    made = await desk.sold(1500)
    await desk.publish(made, 1400)
    await desk.publish(made, 1000, promotion_id="autumn")
    lower = await desk.publish(made, 900, promotion_id="autumn")
    assert lower.cause == events_pb2.PRICE_CAUSE_PROMOTION
    events = await told(installation, made.product_id, 4)
    assert [minor(each.prior_gross) for each in events] == [0, 0, 1400, 1400]


async def test_a_price_is_moved_by_the_guardrail_that_binds_and_says_so(desk: Desk) -> None:
    category = f"c{request_id()[:8]}"
    rules = [
        authored_pb2.PriceRule(
            rule_id="cost.margin",
            tier=product_pb2.RULE_TIER_COST,
            side=authored_pb2.RULE_SIDE_FLOOR,
            of=authored_pb2.RULE_QUANTITY_COST,
            numerator=110,
            denominator=100,
            strict=True,
        ),
        authored_pb2.PriceRule(
            rule_id="rate.step",
            tier=product_pb2.RULE_TIER_RATE,
            side=authored_pb2.RULE_SIDE_CEILING,
            of=authored_pb2.RULE_QUANTITY_PUBLISHED,
            numerator=105,
            denominator=100,
        ),
    ]
    ending = authored_pb2.PriceEnding(modulus=10, digits=[9])
    version = await desk.rule(
        f"policy-{category}", *rules, scope=authored_pb2.TermsScope(categories=[category]), rank=5, ending=ending
    )
    made = await desk.put(product(600, category=category))
    floor = await desk.publish(made, 100)  # cost with tax 7.14, with margin 7.854, up to the ending
    assert (minor(floor.gross), floor.binding_rule) == (789, "cost.margin")
    risen = await desk.publish(made, 5000)  # at most 8.284
    assert (minor(risen.gross), risen.binding_rule) == (819, "rate.step")
    verdicts = {each.rule_id: each.verdict for each in risen.rules}
    assert verdicts == {
        "cost.margin": product_pb2.RULE_VERDICT_MET,
        "rate.step": product_pb2.RULE_VERDICT_BINDING,
    }
    with refused("GUARDRAILS_CONTRADICT"):
        await desk.publish(made, 5000, exactly=True)
    await desk.retire(version)
    assert minor((await desk.publish(made, 5000, exactly=True)).gross) == 5000


async def test_what_is_paused_or_not_sold_in_a_market_gets_no_price(desk: Desk) -> None:
    made = product()
    made.state = product_pb2.PRODUCT_STATE_PAUSED
    await desk.put(made)
    with refused("PRODUCT_PAUSED"):
        await desk.publish(made, 1000)
    with refused("LISTING_NOT_FOUND"):
        await desk.publish(made, 1000, market="FR")
    with refused("MARKET_NOT_DECLARED", "product.listings.market"):
        await desk.put(product(markets=("FR",)))


async def test_stock_is_told_and_an_older_count_changes_nothing(desk: Desk, installation: PricingInstallation) -> None:
    made = await desk.put(product())
    now = datetime.now(UTC)
    assert (await desk.office.UpdateInventory(counted(made, 9, now))).version == 1
    low = await desk.office.UpdateInventory(counted(made, 2, now + timedelta(seconds=2)))
    assert (low.version, low.availability) == (2, events_pb2.AVAILABILITY_LOW)
    late = await desk.office.UpdateInventory(counted(made, 50, now + timedelta(seconds=1)))
    assert (late.version, late.quantity) == (2, 2)
    with refused("LISTING_NOT_FOUND"):
        await desk.office.UpdateInventory(counted(product(), 1, now))
    events = await installation.told(
        events_pb2.StockChanged, lambda each: each.product_id == made.product_id, lambda found: len(found) == 2
    )
    assert sorted(each.quantity for each in events) == [2, 9]


async def test_a_market_keeps_its_currency_and_how_it_shows_tax(desk: Desk) -> None:
    for terms in (
        authored_pb2.MarketTerms(currency="GBP"),
        authored_pb2.MarketTerms(currency="EUR", tax_excluded=True),
    ):
        with refused("MARKET_INVALID"):
            await desk.office.SetMarket(catalog_pb2.SetMarketRequest(request_id=request_id(), market="DE", terms=terms))


async def test_versions_are_drafted_by_a_caller_and_put_in_force_by_a_person(desk: Desk) -> None:
    name = f"p{request_id()[:8]}"
    begin, end = Timestamp(seconds=1_700_000_000), Timestamp(seconds=1_900_000_000)
    terms = authored_pb2.PromotionTerms(
        percent_ppm=1, audience=authored_pb2.PROMOTION_AUDIENCE_PUBLIC, valid_from=begin, valid_until=end
    )
    drafted = [
        await desk.office.SetPromotion(
            catalog_pb2.SetPromotionRequest(request_id=request_id(), promotion_id=name, terms=terms)
        )
        for _ in range(2)
    ]
    assert [each.version for each in drafted] == [1, 2]
    active = await desk.activate(drafted[1])
    assert (active.state, active.reason, active.promotion) == (authored_pb2.VERSION_STATE_ACTIVE, "opened", terms)
    with refused("VERSION_STATE_INVALID"):
        await desk.activate(drafted[1])
    listed = await desk.office.ListVersions(
        catalog_pb2.ListVersionsRequest(kind=authored_pb2.TERMS_KIND_PROMOTION, name=name)
    )
    assert [each.state for each in listed.versions] == [
        authored_pb2.VERSION_STATE_DRAFT,
        authored_pb2.VERSION_STATE_ACTIVE,
    ]
    with refused("PERMISSION_DENIED"):
        await desk.shop.SetPromotion(
            catalog_pb2.SetPromotionRequest(request_id=request_id(), promotion_id=name, terms=terms)
        )


async def test_a_promotion_is_in_the_currency_of_its_markets(desk: Desk) -> None:
    def request(**fields: Any) -> catalog_pb2.SetPromotionRequest:
        terms = promotion_terms(**fields)
        return catalog_pb2.SetPromotionRequest(request_id=request_id(), promotion_id="autumn", terms=terms)

    german = authored_pb2.TermsScope(markets=["DE"])
    with refused("CURRENCY_MISMATCH"):
        await desk.office.SetPromotion(request(amount_each=money(100, "GBP"), scope=german))
    with refused("MARKET_NOT_DECLARED"):
        await desk.office.SetPromotion(
            request(amount_each=money(100), scope=authored_pb2.TermsScope(markets=["DE", "US-NY"]))
        )
    with refused("PROMOTION_INVALID"):
        await desk.office.SetPromotion(request(minimum_spend=money(100)))
    drafted = await desk.office.SetPromotion(request(amount_each=money(100), scope=german))
    assert drafted.state == authored_pb2.VERSION_STATE_DRAFT


async def test_two_processes_sell_at_the_same_price(desk: Desk, installation: PricingInstallation) -> None:
    made = await desk.sold(1000)
    other = installation.process("other")
    await asyncio.to_thread(other.start)
    try:
        async with open_desk(installation, process="other") as elsewhere:
            await elsewhere.until_ready()
            assert minor((await elsewhere.quote((made, 1))).gross) == 1000
            await desk.publish(made, 1200)

            async def followed() -> bool:
                return minor((await elsewhere.quote((made, 1))).gross) == 1200

            await eventually(followed, timeout_s=10)
            quote = await elsewhere.quote((made, 1))
            assert minor((await desk.redeem(quote)).all_in) == 1200
    finally:
        await asyncio.to_thread(other.kill)
