"""rapport.notification.v1.WatchService over gRPC."""

from __future__ import annotations

from dataclasses import dataclass

from rapport.notification.v1 import watch_pb2, watch_pb2_grpc
from rapport_chassis.clock import Clock
from rapport_chassis.once import Once
from rapport_chassis.rpc.pipeline import ServicerContext as Context

from rapport_notification.app.people import LedgerPeople
from rapport_notification.app.times import micros_of
from rapport_notification.domain.occurrences import Product
from rapport_notification.entrypoints.edge_ports import EdgeStore, EdgeUnit, Watched


@dataclass(frozen=True)
class WatchServicer(watch_pb2_grpc.WatchServiceServicer):
    """Products that people watch.

    Attributes:
        once: Takes changes, each in a transaction, once.
        store: Opens transactions.
        people: Who is whose.
        clock: The time.
    """

    once: Once[EdgeUnit]
    store: EdgeStore
    people: LedgerPeople
    clock: Clock

    async def WatchProduct(self, request: watch_pb2.WatchProductRequest, context: Context) -> watch_pb2.Watch:
        """Begin to watch a product, or go on."""
        wanted = request.watch
        product = Product(wanted.product_id, wanted.variant_id, wanted.market)

        async def watched(unit: EdgeUnit) -> watch_pb2.Watch:
            since_us = await unit.watches.watch(wanted.profile_id, product, micros_of(self.clock.now()))
            return _message(wanted.profile_id, product, since_us)

        return await self.once.run(request, watch_pb2.Watch, watched, target=wanted.product_id)

    async def UnwatchProduct(
        self, request: watch_pb2.UnwatchProductRequest, context: Context
    ) -> watch_pb2.UnwatchProductResponse:
        """End watching."""

        async def ended(unit: EdgeUnit) -> watch_pb2.UnwatchProductResponse:
            count = await unit.watches.unwatch(self.people.ids_of(request.profile_id), request.product_id)
            return watch_pb2.UnwatchProductResponse(ended=count)

        return await self.once.run(
            request, watch_pb2.UnwatchProductResponse, ended, target=request.product_id or "all products"
        )

    async def ListWatches(
        self, request: watch_pb2.ListWatchesRequest, context: Context
    ) -> watch_pb2.ListWatchesResponse:
        """List what a person watches."""
        async with self.store.unit() as unit:
            found: list[Watched] = list(await unit.watches.of(self.people.ids_of(request.profile_id)))
        person = self.people.current(request.profile_id)
        return watch_pb2.ListWatchesResponse(watches=[_message(person, each.product, each.since_us) for each in found])


def _message(profile_id: str, product: Product, since_us: int) -> watch_pb2.Watch:
    message = watch_pb2.Watch(
        profile_id=profile_id,
        product_id=product.product_id,
        variant_id=product.variant_id,
        market=product.market,
    )
    message.since.FromMicroseconds(since_us)
    return message
