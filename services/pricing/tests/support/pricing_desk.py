"""The pricing service as its callers have it: short calls for long requests, through the public client alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc
from pricing_installation import BUYER, OFFICE, SHOP
from pricing_words import INDIVIDUAL, asked, money, product, promotion_terms, request_id
from rapport.common.v1 import freshness_pb2
from rapport.consent.v1 import consent_pb2
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
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.installation import Installation
from rapport_testing.ledger_service import LedgerService
from rapport_testing.waiting import eventually


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

    async def learning(
        self, made: product_pb2.Product, *, refold: bool = False, audit: bool = False
    ) -> learning_pb2.PriceLearning:
        """Ask what was learned of a price in Germany."""
        return await self.office.GetPriceLearning(
            learning_pb2.GetPriceLearningRequest(product_id=made.product_id, market="DE", refold=refold, audit=audit)
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

    async def until_known(self, ledger: LedgerService) -> None:
        """Wait until the service's gate knows what people have decided so far."""
        made = await self.sold(1000)
        epoch, position = ledger.head
        at_least = freshness_pb2.LedgerPosition(epoch=epoch, position=position)

        async def known() -> bool:
            quote = await self.quote((made, 1), profile_id=new_id("profile"), at_least=at_least)
            return quote.permission.answer != consent_pb2.ANSWER_DENY_STALE

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
