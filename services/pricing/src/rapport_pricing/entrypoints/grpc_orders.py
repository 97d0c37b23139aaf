"""Redemptions and outcomes over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rapport.pricing.v1 import pricing_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.ids import new_id
from rapport_chassis.once import Once
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.times import moment

from rapport_pricing.app.decisions import Kept, Redemption
from rapport_pricing.app.documents import Document, read_document
from rapport_pricing.app.offer_terms import promotion_of
from rapport_pricing.app.people import LedgerPeople
from rapport_pricing.app.redeeming import Order, basket_of, check, paid_uses, settled
from rapport_pricing.app.shelf import Shelf
from rapport_pricing.app.times import micros_of, moment_of
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.lines import Part
from rapport_pricing.domain.quotes import Settled
from rapport_pricing.entrypoints.ports import Journal, Unit, Verifies
from rapport_pricing.translate.quotes import personal_in
from rapport_pricing.translate.redemptions import kept_from, quote_redeemed, redemption_message


@dataclass(frozen=True)
class Orders:
    """Answers for what becomes of quotes.

    Attributes:
        once: Takes changes, each in a transaction, once.
        keys: Verifies quotes.
        journal: Keeps decisions.
        shelf: Returns the catalogue.
        people: Who is whose.
        written: Has this process know what it has just written.
        clock: The time.
    """

    once: Once[Unit]
    keys: Verifies
    journal: Journal
    shelf: Callable[[], Shelf]
    people: LedgerPeople
    written: Callable[[], Awaitable[object]]
    clock: Clock

    async def RedeemQuote(self, request: pricing_pb2.RedeemQuoteRequest, context: Context) -> pricing_pb2.Redemption:
        """Use a quote in an order, once."""
        signed = request.quote
        if not self.keys.verify(signed.kid, signed.document, signed.signature):
            raise ERRORS.error("QUOTE_TAMPERED", "the signature is not one of the document", field="quote.signature")
        document = read_document(signed.document)
        order = Order(
            request.order_id,
            self.people.current(request.profile_id),
            request.channel,
            micros_of(self.clock.now()),
            request.source_event_id,
            request.profile_id,
        )
        known = await self.journal.find(document.decision_id)
        kept = known if known is not None and known.body else kept_from(document, signed)

        async def redeem(unit: Unit) -> pricing_pb2.Redemption:
            return await self._redeem(unit, document, order, kept)

        answer = await self.once.run(request, pricing_pb2.Redemption, redeem, target=document.quote_id)
        if document.personalised:  # an offer that was used is not to be shown again
            await self.written()
        return answer

    async def ReportOutcome(
        self, request: pricing_pb2.ReportOutcomeRequest, context: Context
    ) -> pricing_pb2.ReportOutcomeResponse:
        """Keep what became of prices that were shown."""
        rows = {each.outcome_id: _row(each) for each in request.outcomes}

        async def report(unit: Unit) -> pricing_pb2.ReportOutcomeResponse:
            new = await unit.report(list(rows.values()), self.clock.now())
            return pricing_pb2.ReportOutcomeResponse(recorded=new, repeated_before=len(request.outcomes) - new)

        return await self.once.run(request, pricing_pb2.ReportOutcomeResponse, report, target="outcomes")

    async def _redeem(self, unit: Unit, document: Document, order: Order, kept: Kept) -> pricing_pb2.Redemption:
        await unit.alive(order.customer_id)
        shelf = self.shelf()
        offers = await unit.offers_named([each.promotion_id for each in document.uses])
        named = {each.offer_id: each for each in offers}
        promotions = {name: promotion_of(each, shelf.rules) for name, each in named.items()}
        basket = basket_of(document, shelf, {name: each for name, each in promotions.items() if each is not None})
        bound_to = self.people.current(document.customer_id)
        earlier = await unit.redeemed(document.quote_id)
        if earlier is not None and earlier.order_id == order.order_id and earlier.profile_id == order.customer_id:
            return pricing_pb2.Redemption.FromString(earlier.body)
        check(document, basket, bound_to, order)
        if earlier is not None:
            raise _used()
        paid = settled(document, basket, shelf, order.at_us)
        answer = redemption_message(document, order, paid)
        fact_id = new_id("fact") if order.customer_id else ""
        redeemed_at = moment_of(order.at_us)
        redemption = Redemption(
            document.quote_id,
            order.order_id,
            order.customer_id,
            document.decision_id,
            fact_id,
            answer.SerializeToString(),
            redeemed_at,
            kept,
        )
        # Who makes an offer holds the head before a tally: so does who uses one.
        book = await unit.offers() if named else None
        if not await unit.redeem(redemption):
            raise _used()
        for each in sorted(paid_uses(basket, paid.basket), key=lambda use: use.promotion.promotion_id):
            offer = named.get(each.promotion.promotion_id)
            if offer is not None and book is not None:
                await book.use(offer, (await unit.offered(offer))[0].caps)
            elif each.promotion.caps.any:
                await unit.commit(document.quote_id, each, order.at_us)
        if fact_id:
            decisions = tuple(each.decision_id for each in offers)
            await self._tell(unit, document, order, paid, fact_id, decisions)
        given = personal_in(kept.inputs).assigned
        if given:
            await unit.earned(given, _contribution(document, paid, shelf))
        sold = _sold(document, paid, order.at_us)
        if sold:
            await unit.report(sold, self.clock.now())
        return answer

    async def _tell(
        self, unit: Unit, document: Document, order: Order, paid: Settled, fact_id: str, decisions: tuple[str, ...]
    ) -> None:
        tax = self.shelf().rules.at(order.at_us).market(document.market).tax
        event = quote_redeemed(
            document, order, paid.basket, fact_id=fact_id, tax=tax, decision_ids=decisions, recorded_at=self.clock.now()
        )
        await unit.tell([event])
        await unit.note(document.quote_id, order.named_id, event.message.SerializeToString())


def _used() -> Exception:
    return ERRORS.error("QUOTE_REDEEMED", "the quote was used in another order", field="quote")


def _contribution(document: Document, paid: Settled, shelf: Shelf) -> int:
    """Return what an order earns: what is paid, less tax and cost."""
    lines = [line.line for line in paid.basket.lines]
    costs = [shelf.lot(line.product_id, line.variant_id, document.market).listing.cost for line in lines]
    return paid.basket.totals.net - sum(cost * line.quantity for cost, line in zip(costs, lines, strict=True))


def _sold(document: Document, paid: Settled, at_us: int) -> list[tuple[object, ...]]:
    """Return what a redemption says of published prices: of lines that nothing was taken off."""
    return [
        (
            f"@{document.quote_id}/{place}",
            document.quote_id,
            line.product_id,
            line.variant_id,
            document.market,
            line.price_version,
            pricing_pb2.OUTCOME_KIND_BOUGHT,
            line.quantity,
            document.quote_id,
            at_us,
        )
        for place, (line, _, parts) in enumerate(paid.basket.lines)
        if all(part.part in (Part.PUBLISHED, Part.TAX) for part in parts)
    ]


def _row(outcome: pricing_pb2.Outcome) -> tuple[object, ...]:
    return (
        outcome.outcome_id,
        outcome.exposure_id,
        outcome.product_id,
        outcome.variant_id,
        outcome.market,
        outcome.price_version,
        outcome.kind,
        outcome.quantity,
        outcome.quote_id,
        micros_of(moment(outcome.occurred_at)),
    )
