"""Offers over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from rapport.pricing.v1 import pricing_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.once import Once
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.times import moment
from rapport_privacy.permits import Permits
from rapport_privacy.translate import decision_message

from rapport_pricing.app.offer_terms import Treatment
from rapport_pricing.app.offers import Offering, make_offer, permit
from rapport_pricing.app.people import LedgerPeople
from rapport_pricing.app.times import micros_of
from rapport_pricing.entrypoints.ports import Store, Unit
from rapport_pricing.translate.offers import offer_record

PAGE: Final = 50
MOST: Final = 500
_NEWEST: Final = (2**62, "")


@dataclass(frozen=True)
class OfferDesk:
    """Answers for offers.

    Attributes:
        once: Takes changes, each in a transaction, once.
        store: Opens transactions.
        permits: The gate.
        people: Who is whose.
        purpose_id: The purpose of personal prices.
        written: Has this process know what it has just written.
        clock: The time.
    """

    once: Once[Unit]
    store: Store
    permits: Permits
    people: LedgerPeople
    purpose_id: str
    written: Callable[[], Awaitable[object]]
    clock: Clock

    async def CreateOffer(self, request: pricing_pb2.CreateOfferRequest, context: Context) -> pricing_pb2.OfferRecord:
        """Make an offer to a customer, if that is permitted now."""
        offering = Offering(
            request.profile_id,
            request.promotion_id,
            request.brand_id,
            request.market,
            micros_of(moment(request.valid_until)) if request.HasField("valid_until") else None,
        )
        at_least = request.at_least if request.HasField("at_least") else None

        async def made(unit: Unit) -> pricing_pb2.OfferRecord:
            await unit.alive(self.people.current(request.profile_id))
            book = await unit.offers()
            decision = permit(self.permits, offering, self.purpose_id, at_least)
            offer = await make_offer(
                book,
                offering,
                decision,
                decision_message(decision).SerializeToString(),
                Treatment.TREATED,
                self.people.ids_of(decision.profile_id),
            )
            terms, currency = await unit.offered(offer)
            return offer_record(offer, terms, currency)

        answer = await self.once.run(request, pricing_pb2.OfferRecord, made, target=request.promotion_id)
        await self.written()
        return answer

    async def ListOffers(
        self, request: pricing_pb2.ListOffersRequest, context: Context
    ) -> pricing_pb2.ListOffersResponse:
        """List a customer's offers, newest first."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        before = (int(cursor[0]), str(cursor[1])) if cursor else _NEWEST
        ids = self.people.ids_of(request.profile_id)
        answer = pricing_pb2.ListOffersResponse()
        async with self.store.unit() as unit:
            found = await unit.offers_of(
                ids, before, size + 1, every=request.include_all, now_us=micros_of(self.clock.now())
            )
            for offer in found[:size]:
                terms, currency = await unit.offered(offer)
                answer.offers.append(offer_record(offer, terms, currency))
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = next_page_token(request, (last.created_us, last.offer_id))
        return answer
