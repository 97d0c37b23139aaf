"""rapport.pricing.v1.CatalogService over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from google.protobuf.message import Message
from rapport.pricing.v1 import authored_pb2, catalog_pb2, product_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.once import Once, actor, author
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.status import encode
from rapport_chassis.times import moment

from rapport_pricing.app.catalogue import Laws, Wish, check_currency, count_stock, publish, upsert
from rapport_pricing.app.rules import Kind, Market
from rapport_pricing.app.stored import Key
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.ledger import Cause
from rapport_pricing.entrypoints.ports import Store, Unit
from rapport_pricing.translate.authored import KINDS, STATES, SetRequest, name_of, version_message
from rapport_pricing.translate.money import money_of
from rapport_pricing.translate.products import (
    inventory_message,
    key_of,
    product_message,
    product_of,
    published_message,
    stock_of,
)
from rapport_pricing.translate.terms import currency_in, terms_of

AnswerT = TypeVar("AnswerT", bound=Message)

PAGE: Final = 50
MOST: Final = 500
_NEWEST: Final = 2**62


@dataclass(frozen=True)
class CatalogDesk:
    """Products are kept by their callers; what is authored is drafted by a caller and decided upon by an operator.

    Attributes:
        once: Runs each change in a transaction, once.
        store: Opens transactions that only read, or need no request id.
        laws: What the law says.
        written: Has this process know what it has just written.
        clock: The time.
    """

    once: Once[Unit]
    store: Store
    laws: Laws
    written: Callable[[], Awaitable[object]]
    clock: Clock

    async def UpsertProduct(self, request: catalog_pb2.UpsertProductRequest, context: Context) -> product_pb2.Product:
        """Add a product or replace it."""
        wanted = product_of(request.product)

        async def put(unit: Unit) -> product_pb2.Product:
            (now,), _ = await upsert(await unit.catalogue(), [wanted])
            return product_message(now)

        return await self._write(request, product_pb2.Product, put, target=wanted.product_id)

    async def ImportProducts(
        self, request: AsyncIterator[catalog_pb2.ImportProductsRequest], context: Context
    ) -> AsyncIterator[catalog_pb2.ImportProductsResponse]:
        """Add or replace products, batch by batch."""
        async for batch in request:
            answer = catalog_pb2.ImportProductsResponse(batch=batch.batch)
            try:
                wanted = [product_of(each) for each in batch.products]
                async with self.store.unit() as unit:
                    _, answer.changed = await upsert(await unit.catalogue(), wanted)
            except RapportError as error:
                answer.status.CopyFrom(encode(error, ""))
            yield answer
        await self.written()

    async def GetProduct(self, request: catalog_pb2.GetProductRequest, context: Context) -> product_pb2.Product:
        """Return a product."""
        async with self.store.unit() as unit:
            found = await unit.product(request.product_id)
        if found is None:
            raise ERRORS.error("PRODUCT_NOT_FOUND", "there is no such product", field="product_id")
        return product_message(found)

    async def ListProducts(
        self, request: catalog_pb2.ListProductsRequest, context: Context
    ) -> catalog_pb2.ListProductsResponse:
        """List products."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        async with self.store.unit() as unit:
            found = await unit.products_after(str(cursor[0]) if cursor else "", size + 1)
        page = found[:size]
        return catalog_pb2.ListProductsResponse(
            products=map(product_message, page),
            next_page_token=next_page_token(request, (page[-1].product_id,)) if len(found) > size else "",
        )

    async def UpdateInventory(
        self, request: catalog_pb2.UpdateInventoryRequest, context: Context
    ) -> product_pb2.Inventory:
        """Say how much is left."""
        counted = stock_of(request)

        async def count(unit: Unit) -> product_pb2.Inventory:
            return inventory_message(await count_stock(await unit.catalogue(), counted))

        return await self._write(request, product_pb2.Inventory, count, target=request.product_id)

    async def PublishPrice(
        self, request: catalog_pb2.PublishPriceRequest, context: Context
    ) -> product_pb2.PublishedPrice:
        """Publish a price within the guardrails."""
        price = money_of(request.price, "price")
        wish = Wish(
            key_of(request),
            price.minor,
            price.currency,
            Cause.PROMOTION if request.promotion_id else Cause.AUTHORED,
            request.expected_version if request.HasField("expected_version") else None,
            request.promotion_id,
            request.exactly,
        )

        async def published(unit: Unit) -> product_pb2.PublishedPrice:
            return published_message(await publish(await unit.catalogue(), self.laws, wish))

        return await self._write(request, product_pb2.PublishedPrice, published, target=request.product_id)

    async def GetPriceHistory(
        self, request: catalog_pb2.GetPriceHistoryRequest, context: Context
    ) -> catalog_pb2.GetPriceHistoryResponse:
        """Say what was published when."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        key = Key(request.product_id, request.variant_id, request.market)
        async with self.store.unit() as unit:
            found = await unit.history_before(key, int(cursor[0]) if cursor else _NEWEST, size + 1)
        page = found[:size]
        return catalog_pb2.GetPriceHistoryResponse(
            prices=map(published_message, page),
            next_page_token=next_page_token(request, (page[-1].price.version,)) if len(found) > size else "",
        )

    async def SetPricePolicy(
        self, request: catalog_pb2.SetPricePolicyRequest, context: Context
    ) -> authored_pb2.AuthoredVersion:
        """Draft a version of a price policy."""
        return await self._draft(request)

    async def SetPromotion(
        self, request: catalog_pb2.SetPromotionRequest, context: Context
    ) -> authored_pb2.AuthoredVersion:
        """Draft a version of a promotion."""
        return await self._draft(request)

    async def SetMarket(self, request: catalog_pb2.SetMarketRequest, context: Context) -> authored_pb2.AuthoredVersion:
        """Draft a version of a market."""
        return await self._draft(request)

    async def ActivateVersion(
        self, request: catalog_pb2.ActivateVersionRequest, context: Context
    ) -> authored_pb2.AuthoredVersion:
        """Put a drafted version in force from a time on."""
        kind, by = KINDS[request.kind], actor()
        begin = moment(request.active_from) if request.HasField("active_from") else None

        async def activated(unit: Unit) -> authored_pb2.AuthoredVersion:
            version = await unit.activate(
                kind, request.name, request.version, active_from=begin, actor=by, reason=request.reason
            )
            return version_message(kind, version)

        target = f"{kind}/{request.name}"
        return await self._write(request, authored_pb2.AuthoredVersion, activated, target=target, reason=request.reason)

    async def RetireVersion(
        self, request: catalog_pb2.RetireVersionRequest, context: Context
    ) -> authored_pb2.AuthoredVersion:
        """Take an authored thing out of force."""
        kind, by = KINDS[request.kind], actor()

        async def retired(unit: Unit) -> authored_pb2.AuthoredVersion:
            return version_message(kind, await unit.retire(kind, request.name, actor=by, reason=request.reason))

        target = f"{kind}/{request.name}"
        return await self._write(request, authored_pb2.AuthoredVersion, retired, target=target, reason=request.reason)

    async def ListVersions(
        self, request: catalog_pb2.ListVersionsRequest, context: Context
    ) -> catalog_pb2.ListVersionsResponse:
        """List versions of authored things."""
        size = min(request.page_size or PAGE, MOST)
        kind = KINDS[request.kind]
        cursor = cursor_of(request, request.page_token) or ("", 0)
        after = str(cursor[0]), int(cursor[-1])
        async with self.store.unit() as unit:
            found = await unit.versions(kind, request.name, STATES[request.state], after, size + 1)
        page = found[:size]
        return catalog_pb2.ListVersionsResponse(
            versions=[version_message(kind, each) for each in page],
            next_page_token=next_page_token(request, (page[-1].id, page[-1].version)) if len(found) > size else "",
        )

    async def _draft(self, request: SetRequest) -> authored_pb2.AuthoredVersion:
        kind, name = name_of(request)
        terms, by = terms_of(name, 1, request.terms), author()

        async def drafted(unit: Unit) -> authored_pb2.AuthoredVersion:
            if isinstance(terms, Market):
                first = await unit.first(Kind.MARKET, name)
                if isinstance(first, Market) and not _alike(first, terms):
                    raise ERRORS.error("MARKET_INVALID", "currency and tax are shown as before", field="terms")
            if isinstance(request, catalog_pb2.SetPromotionRequest) and (currency := currency_in(request.terms)):
                rulebook = await (await unit.catalogue()).rulebook()
                check_currency(rulebook, request.terms.scope.markets, currency)
            body = request.terms.SerializeToString(deterministic=True)
            return version_message(kind, await unit.draft(kind, name, body, actor=by, now=self.clock.now()))

        return await self.once.run(request, authored_pb2.AuthoredVersion, drafted, target=f"{kind}/{name}")

    async def _write(
        self,
        request: Any,
        answer_class: type[AnswerT],
        effect: Callable[[Unit], Awaitable[AnswerT]],
        *,
        target: str,
        reason: str = "",
    ) -> AnswerT:
        answer = await self.once.run(request, answer_class, effect, target=target, reason=reason)
        await self.written()
        return answer


def _alike(first: Market, other: Market) -> bool:
    return first.currency == other.currency and first.tax.included == other.tax.included
