"""The pricing service as its callers have it: short words for long requests, through the public client alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import rapport_pricing
from google.type import money_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rapport.consent.v1 import purpose_pb2
from rapport.pricing.v1 import (
    authored_pb2,
    catalog_pb2,
    catalog_pb2_grpc,
    experiments_pb2_grpc,
    learning_pb2,
    pricing_pb2,
    pricing_pb2_grpc,
    product_pb2,
    quote_pb2,
)
from rapport_chassis.events import topology
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp
from rapport_testing.installation import Installation, TestedService
from rapport_testing.ledger_service import LedgerService, gate_settings
from rapport_testing.waiting import eventually

SHOP: Final = "shop"
OFFICE: Final = "office"
BUYER: Final = "buyer"
INDIVIDUAL: Final = authored_pb2.PROMOTION_AUDIENCE_INDIVIDUAL
STREAM: Final = "RAPPORT_PRICING"
PRICING: Final = TestedService(
    "pricing",
    migrations=Path(rapport_pricing.__file__).parent / "migrations",
    topology=topology.DECLARED,
    settings={
        "SIGNING_FOLDER": "{folder}",
        "PERSONAL__LOOK_EVERY_S": "0.2",
        "LEARN_EVERY_S": "0.05",
        "RETENTION__PROMOTION_ID": "winback",
        "RETENTION__HOLDOUT_SHARE": "0.3",
    },
)
PERSONAL: Final = "pricing.personal"
PURPOSES: Final = {PERSONAL: purpose_pb2.LEGAL_BASIS_CONSENT}


class PricingInstallation(Installation):
    """Servers with the ledger that the service's gate follows.

    Attributes:
        ledger: What people decided.
    """

    def __init__(self, service: TestedService, folder: Path, *, durable: bool = False) -> None:
        super().__init__(service, folder, durable=durable)
        self.ledger = LedgerService(self, PURPOSES)

    def start(self, *, provisioned: bool = True, migrated: bool = True) -> None:
        """Start the servers."""
        self.ledger.start()
        super().start(provisioned=provisioned, migrated=migrated)

    def stop(self) -> None:
        """Stop them."""
        super().stop()
        self.ledger.stop()

    def variables(self) -> dict[str, str]:
        """Return the environment variables that configure the service."""
        own = gate_settings(self, self.ledger)
        return super().variables() | {self._variable(name.upper()): value for name, value in own.items()}


def start_installation(folder: Path, *, durable: bool = False) -> PricingInstallation:
    """Start servers for the service, with callers who may what callers usually may."""
    installation = PricingInstallation(PRICING, folder, durable=durable)
    installation.grant(SHOP, ["pricing.products.*", "pricing.prices.read", "pricing.quotes.*", "pricing.outcomes.*"])
    installation.grant(OFFICE, ["pricing.*"])
    installation.grant_role(BUYER, ["pricing.*"])
    installation.start()
    return installation


def request_id() -> str:
    """A request id that was never used."""
    return str(uuid4())


def money(minor: int, currency: str = "EUR") -> money_pb2.Money:
    """An amount of a currency with two decimals."""
    return money_pb2.Money(currency_code=currency, units=minor // 100, nanos=minor % 100 * 10_000_000)


def minor(amount: money_pb2.Money) -> int:
    """The same as a number."""
    return amount.units * 100 + amount.nanos // 10_000_000


def product(
    cost: int = 600, *, category: str = "shoes", markets: tuple[str, ...] = ("DE",), **fields: Any
) -> product_pb2.Product:
    """A product nobody knows yet."""
    made = product_pb2.Product(product_id=new_id("product"), category=category, **fields)
    for market in markets:
        made.listings.add(market=market, unit_cost=money(cost), tax_ppm=190_000)
    return made


def outcome(
    made: product_pb2.Product, version: int, exposure: str, kind: pricing_pb2.OutcomeKind.ValueType
) -> pricing_pb2.Outcome:
    """What became of one showing of a published price."""
    return pricing_pb2.Outcome(
        outcome_id=new_id("touchpoint"),
        exposure_id=exposure,
        product_id=made.product_id,
        market="DE",
        price_version=version,
        kind=kind,
        occurred_at=stamp(datetime.now(UTC)),
    )


def promotion_terms(days: float = 30, **fields: Any) -> authored_pb2.PromotionTerms:
    """A promotion that holds now; ten percent for everybody unless more is said."""
    now = datetime.now(UTC)
    fields.setdefault("audience", authored_pb2.PROMOTION_AUDIENCE_PUBLIC)
    if not {"percent_ppm", "amount_each", "price_each", "amount_basket"} & set(fields):
        fields["percent_ppm"] = 100_000
    return authored_pb2.PromotionTerms(
        valid_from=stamp(now - timedelta(hours=1)), valid_until=stamp(now + timedelta(days=days)), **fields
    )


def asked(*basket: tuple[product_pb2.Product, int], market: str = "DE", **fields: Any) -> pricing_pb2.GetQuoteRequest:
    """A basket whose price is asked."""
    request = pricing_pb2.GetQuoteRequest(market=market, **fields)
    for made, quantity in basket:
        request.lines.add(product_id=made.product_id, quantity=quantity)
    return request


@contextmanager
def refused(reason: str, field: str | None = None) -> Iterator[pytest.ExceptionInfo[RemoteError]]:
    """Expect a call to be refused for a reason, and because of a field."""
    with pytest.raises(RemoteError) as caught:
        yield caught
    assert caught.value.reason.name == reason, caught.value
    if field is not None:
        assert field in [violation.path for violation in caught.value.fields]


@dataclass(frozen=True)
class Desk:
    """A place from which the service is called: by a shop, and by a buyer who is a person.

    Attributes:
        shop: The catalogue, with the certificate of a service that may read prices and keep products.
        office: The catalogue, with that of an office and the token of a buyer.
        prices: Quotes, with the shop's certificate.
        clerk: Quotes, with the office's certificate and the buyer's token.
        trials: Experiments, with the office's certificate and the buyer's token.
        health: Asks for readiness.
    """

    shop: catalog_pb2_grpc.CatalogServiceAsyncStub
    office: catalog_pb2_grpc.CatalogServiceAsyncStub
    prices: pricing_pb2_grpc.PricingServiceAsyncStub
    clerk: pricing_pb2_grpc.PricingServiceAsyncStub
    trials: experiments_pb2_grpc.ExperimentServiceAsyncStub
    health: health_pb2_grpc.HealthAsyncStub  # type: ignore[name-defined]

    async def declare(self, market: str = "DE", currency: str = "EUR", **fields: Any) -> None:
        """Declare a market, as a buyer does."""
        terms = authored_pb2.MarketTerms(currency=currency, **fields)
        drafted = await self.office.SetMarket(
            catalog_pb2.SetMarketRequest(request_id=request_id(), market=market, terms=terms)
        )
        await self.activate(drafted)

    async def promote(self, name: str, terms: authored_pb2.PromotionTerms) -> authored_pb2.AuthoredVersion:
        """Draft a promotion and put it in force."""
        drafted = await self.office.SetPromotion(
            catalog_pb2.SetPromotionRequest(request_id=request_id(), promotion_id=name, terms=terms)
        )
        return await self.activate(drafted)

    async def rule(self, name: str, *rules: authored_pb2.PriceRule, **fields: Any) -> authored_pb2.AuthoredVersion:
        """Draft a price policy and put it in force."""
        drafted = await self.office.SetPricePolicy(
            catalog_pb2.SetPricePolicyRequest(
                request_id=request_id(),
                policy_id=name,
                terms=authored_pb2.PricePolicyTerms(rules=rules, **fields),
            )
        )
        return await self.activate(drafted)

    async def activate(self, version: authored_pb2.AuthoredVersion) -> authored_pb2.AuthoredVersion:
        """Put a drafted version in force."""
        return await self.office.ActivateVersion(
            catalog_pb2.ActivateVersionRequest(
                request_id=request_id(), kind=version.kind, name=version.name, version=version.version, reason="opened"
            )
        )

    async def retire(self, version: authored_pb2.AuthoredVersion) -> authored_pb2.AuthoredVersion:
        """Take what a version is of out of force."""
        return await self.office.RetireVersion(
            catalog_pb2.RetireVersionRequest(
                request_id=request_id(), kind=version.kind, name=version.name, reason="over"
            )
        )

    async def put(self, made: product_pb2.Product) -> product_pb2.Product:
        """Add a product, or replace it."""
        return await self.shop.UpsertProduct(catalog_pb2.UpsertProductRequest(request_id=request_id(), product=made))

    async def publish(
        self, made: product_pb2.Product, price: int, market: str = "DE", **fields: Any
    ) -> product_pb2.PublishedPrice:
        """Publish a price."""
        return await self.office.PublishPrice(
            catalog_pb2.PublishPriceRequest(
                request_id=request_id(), product_id=made.product_id, market=market, price=money(price), **fields
            )
        )

    async def sold(self, price: int, cost: int = 600, **fields: Any) -> product_pb2.Product:
        """A product that is sold in Germany for a price."""
        made = await self.put(product(cost, **fields))
        await self.publish(made, price)
        return made

    async def quote(self, *basket: tuple[product_pb2.Product, int], **fields: Any) -> quote_pb2.Quote:
        """Ask what a basket costs in Germany."""
        return await self.prices.GetQuote(asked(*basket, **fields))

    async def redeem(
        self, quote: quote_pb2.Quote, order_id: str = "", named: str = "", **fields: Any
    ) -> pricing_pb2.Redemption:
        """Use a quote in an order."""
        request = {"profile_id": quote.profile_id, "channel": quote.channel, "quote": quote.signed, **fields}
        return await self.prices.RedeemQuote(
            pricing_pb2.RedeemQuoteRequest(
                request_id=named or request_id(), order_id=order_id or new_id("order"), **request
            )
        )

    async def report(self, *outcomes: pricing_pb2.Outcome) -> pricing_pb2.ReportOutcomeResponse:
        """Report what became of prices that were shown."""
        return await self.prices.ReportOutcome(
            pricing_pb2.ReportOutcomeRequest(request_id=request_id(), outcomes=outcomes)
        )

    async def learning(self, made: product_pb2.Product, *, refold: bool = False) -> learning_pb2.PriceLearning:
        """Ask what was learned of a price in Germany."""
        return await self.office.GetPriceLearning(
            learning_pb2.GetPriceLearningRequest(product_id=made.product_id, market="DE", refold=refold)
        )

    async def explain(self, quote: quote_pb2.Quote) -> pricing_pb2.QuoteExplanation:
        """Ask why a quote is what it is."""
        return await self.clerk.ExplainQuote(pricing_pb2.ExplainQuoteRequest(decision_id=quote.decision_id))

    async def offer(self, profile_id: str, promotion: str, **fields: Any) -> pricing_pb2.OfferRecord:
        """Make an offer to a customer."""
        return await self.clerk.CreateOffer(
            pricing_pb2.CreateOfferRequest(
                request_id=request_id(), profile_id=profile_id, promotion_id=promotion, **fields
            )
        )

    async def offers(self, profile_id: str, *, every: bool = True) -> list[pricing_pb2.OfferRecord]:
        """Return a customer's offers."""
        request = pricing_pb2.ListOffersRequest(profile_id=profile_id, include_all=every)
        return list((await self.clerk.ListOffers(request)).offers)

    async def until_permitted(self, *profile_ids: str) -> None:
        """Wait until the service knows that these people want personal prices."""
        made = await self.sold(1000)

        async def known() -> bool:
            quotes = [await self.quote((made, 1), profile_id=each) for each in profile_ids]
            return all(each.permission.reference for each in quotes)

        await eventually(known, timeout_s=20)

    async def until_ready(self) -> None:
        """Wait until the service can answer."""

        async def serving() -> bool:
            try:
                answer = await self.health.Check(health_pb2.HealthCheckRequest(service="api"))
            except RemoteError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        await eventually(serving, timeout_s=30)


@asynccontextmanager
async def open_desk(installation: Installation, *, process: str = "service") -> AsyncIterator[Desk]:
    """Call a process of the service."""
    shop = installation.client(SHOP, process=process)
    office = installation.client(OFFICE, process=process)
    token = installation.actor_token(OFFICE, roles=[BUYER])
    try:
        yield Desk(
            shop.stub(catalog_pb2_grpc.CatalogServiceStub),
            office.stub(catalog_pb2_grpc.CatalogServiceStub, actor_token=token),
            shop.stub(pricing_pb2_grpc.PricingServiceStub),
            office.stub(pricing_pb2_grpc.PricingServiceStub, actor_token=token),
            office.stub(experiments_pb2_grpc.ExperimentServiceStub, actor_token=token),
            shop.stub(health_pb2_grpc.HealthStub),
        )
    finally:
        await shop.close()
        await office.close()


def furnish(installation: Installation) -> None:
    """Declare the market that tests sell in, and what is offered to who may leave.

    Not to be called in a thread in which an event loop runs.
    """

    async def declared() -> None:
        async with open_desk(installation) as desk:
            await desk.until_ready()
            await desk.declare("DE")
            scope = authored_pb2.TermsScope(markets=["DE"])
            await desk.promote("winback", promotion_terms(percent_ppm=200_000, audience=INDIVIDUAL, scope=scope))

    asyncio.run(declared())
