"""Quotes over gRPC: made, one by one or many, and explained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from google.rpc import code_pb2, status_pb2
from rapport.pricing.v1 import pricing_pb2, quote_pb2
from rapport_chassis.errors import RapportError
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.rpc.status import encode

from rapport_pricing.app.decisions import Kept, Unkept
from rapport_pricing.app.documents import Document, read_document
from rapport_pricing.app.limits import DatedLaws
from rapport_pricing.app.offer_terms import promotion_of
from rapport_pricing.app.quoting import MakeQuotes, holding
from rapport_pricing.app.replaying import replays
from rapport_pricing.app.shelf import Shelf
from rapport_pricing.app.stored import Key
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.personal import outcome_of
from rapport_pricing.entrypoints.ports import Journal, Store, Unit
from rapport_pricing.translate.offers import offer_record
from rapport_pricing.translate.products import published_message
from rapport_pricing.translate.quotes import OUTCOMES, asked_of, brought_of, kept_of, personal_in, quote_message
from rapport_pricing.translate.reviews import review_message

_OK: Final = status_pb2.Status(code=code_pb2.OK)
_OFFERS: Final = 20


@dataclass(frozen=True)
class Quotes:
    """Answers for quotes.

    Attributes:
        make: Makes them.
        journal: Keeps them.
        store: Opens transactions.
        laws: What the law says.
    """

    make: MakeQuotes
    journal: Journal
    store: Store
    laws: DatedLaws

    async def GetQuote(self, request: pricing_pb2.GetQuoteRequest, context: Context) -> quote_pb2.Quote:
        """Say what a basket costs."""
        return await self._quote(request)

    async def BatchGetQuotes(
        self, request: pricing_pb2.BatchGetQuotesRequest, context: Context
    ) -> pricing_pb2.BatchGetQuotesResponse:
        """Say what many baskets cost, each by itself."""
        answer = pricing_pb2.BatchGetQuotesResponse()
        for each in request.requests:
            try:
                quote = await self._quote(each)
            except RapportError as error:
                answer.results.add(status=encode(error, ""))
            else:
                answer.results.add(status=_OK, quote=quote)
        return answer

    async def ExplainQuote(
        self, request: pricing_pb2.ExplainQuoteRequest, context: Context
    ) -> pricing_pb2.QuoteExplanation:
        """Return a quote as it was given, and why."""
        kept = await kept_decision(self.journal, request.decision_id)
        quote = quote_pb2.Quote.FromString(kept.body)
        document = read_document(quote.signed.document)
        answer = pricing_pb2.QuoteExplanation(quote=quote)
        async with self.store.unit() as unit:
            products = [line.line.product_id for line in document.lines]
            shelf = await unit.shelf_at(self.laws, kept.epoch, kept.position, products)
            answer.replayed = await self._replayed(unit, shelf, kept, document, quote.signed.document)
            await self._say_why(unit, kept, document, answer)
            for line in document.lines:
                key = Key(line.line.product_id, line.line.variant_id, document.market)
                found = await unit.published(key, line.line.price_version)
                if found is not None:
                    answer.list_prices.append(published_message(found))
            redeemed = await unit.redeemed(document.quote_id)
            answer.reviews.extend(review_message(each) for each in await unit.reviews.of(kept.decision_id))
        if redeemed is not None:
            answer.redemption.MergeFromString(redeemed.body)
        return answer

    async def _quote(self, request: pricing_pb2.GetQuoteRequest) -> quote_pb2.Quote:
        made = await self.make(asked_of(request))
        message = quote_message(made)
        if not holding(made):
            quote = made.priced.quote
            self.journal.add(Unkept(quote.decision_id, quote.customer_id, partial(kept_of, made, message)))
        return message

    async def _replayed(self, unit: Unit, shelf: Shelf, kept: Kept, document: Document, stored: bytes) -> bool:
        found = await unit.offers_named([offer_id for offer_id, _ in personal_in(kept.inputs).offers])
        promotions = {each.offer_id: promotion_of(each, shelf.rules) for each in found}
        offers = {(name, each.version): each for name, each in promotions.items() if each is not None}
        try:
            brought = brought_of(kept.inputs, document.customer_id, offers)
        except KeyError:
            return False
        return replays(shelf, document, brought, stored)

    async def _say_why(self, unit: Unit, kept: Kept, document: Document, answer: pricing_pb2.QuoteExplanation) -> None:
        """Say whether personal data lowered it, and what there was that could have."""
        personal = personal_in(kept.inputs)
        laws = [self.laws.at(document.market, each.line.category, document.issued_us) for each in document.lines]
        outcome = outcome_of(
            customer_id=document.customer_id,
            permitted=personal.permitted,
            lawful=all(each.personal_allowed for each in laws),
            offered=personal.offered,
            personalised=document.personalised,
        )
        answer.personal = OUTCOMES[outcome]
        answer.exhausted_promotion_ids.extend(personal.exhausted)
        ids, by_then = self.make.ids_of(document.customer_id), (document.issued_us + 1, "")
        for each in await unit.offers_of(ids, by_then, _OFFERS, every=True, now_us=document.issued_us):
            terms, currency = await unit.offered(each)
            answer.offers.append(offer_record(each, terms, currency))


async def kept_decision(journal: Journal, decision_id: str) -> Kept:
    """Return a decision that can be explained.

    Raises:
        RapportError: DECISION_NOT_FOUND; PROFILE_ERASED.
    """
    kept = await journal.find(decision_id)
    if kept is None:
        raise ERRORS.error("DECISION_NOT_FOUND", "there is no such quote", field="decision_id")
    if not kept.body:
        raise ERRORS.error("PROFILE_ERASED", "the person was erased")
    return kept
