"""Use case: what a basket costs a customer here and now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from rapport_chassis.clock import Clock
from rapport_chassis.ids import new_id
from rapport_privacy.decision import Decision
from rapport_privacy.permits import Permits, Position
from rapport_privacy.vocabulary import Reason

from rapport_pricing.app.offer_terms import promotion_of
from rapport_pricing.app.pricing import AskedLine, Brought, Naming, Priced, price
from rapport_pricing.app.shelf import Shelf
from rapport_pricing.app.times import micros_of
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.lines import PricedBasket, Use
from rapport_pricing.domain.personal import DENIED, Permit
from rapport_pricing.domain.promotions import Promotion
from rapport_pricing.domain.quotes import canonical, personal_id


class Asked(NamedTuple):
    """A basket that somebody asks the price of; the gate must know the ledger as far as `at_least` says."""

    profile_id: str
    market: str
    brand_id: str
    channel: str
    lines: tuple[AskedLine, ...]
    codes: frozenset[str]
    loyalty: str
    at_least: Position | None = None


class Made(NamedTuple):
    """A quote that was signed: its bytes, the key, the signature, and the gate's answer where a customer was named."""

    priced: Priced
    permission: Decision | None
    document: bytes
    kid: str
    signature: bytes


class Signs(Protocol):
    """Signs quotes."""

    def sign(self, message: bytes) -> tuple[str, bytes]:
        """Return the id of the active key and its signature."""
        ...


class Holds(Protocol):
    """Holds uses of promotions that have caps, for as long as a quote is good."""

    async def __call__(self, made: Made, uses: Sequence[Use]) -> Collection[str]:
        """Hold uses and keep the decision, both or nothing.

        Returns:
            Promotions of which no use was left; then nothing was held.
        """
        ...


def promotions_of(basket: PricedBasket) -> dict[str, Promotion]:
    """Return the promotions that a basket used, by id."""
    return {use.promotion.promotion_id: use.promotion for use in basket.uses}


@dataclass(frozen=True)
class MakeQuotes:
    """Makes quotes.

    Attributes:
        shelf: Returns the catalogue.
        permits: The gate.
        signs: Signs.
        holds: Holds uses of promotions with caps.
        ids_of: Returns every id that stands for a customer.
        purpose_id: The purpose of personal prices.
        clock: The time.
    """

    shelf: Callable[[], Shelf]
    permits: Permits
    signs: Signs
    holds: Holds
    ids_of: Callable[[str], Sequence[str]]
    purpose_id: str
    clock: Clock

    async def __call__(self, asked: Asked) -> Made:
        """Make a quote, and hold what it uses of promotions with caps. Others are for the caller to keep.

        Raises:
            RapportError: As `price`; PROFILE_ERASED, BRAND_REQUIRED, NOT_READY.
        """
        exhausted: frozenset[str] = frozenset()
        while True:
            made = self._made(asked, exhausted)
            held = holding(made)
            if not held:
                return made
            refused = await self.holds(made, held)
            if not refused:
                return made
            exhausted |= frozenset(refused)

    def _made(self, asked: Asked, exhausted: frozenset[str]) -> Made:
        permission, permit, customer_id = None, DENIED, ""
        if asked.profile_id:
            permission = self.permits.check(
                asked.profile_id,
                self.purpose_id,
                brand_id=asked.brand_id,
                market=asked.market,
                at_least=asked.at_least,
            )
            customer_id = permission.profile_id
            if permission.permitted:
                permit = Permit(True, permission.reference, permission.position)
            elif permission.reason == Reason.ERASED:
                raise ERRORS.error("PROFILE_ERASED", "the person was erased")
        personal = permit.granted
        shelf = self.shelf()
        found = (
            [promotion_of(each, shelf.rules) for each in shelf.offers.of(self.ids_of(customer_id))] if personal else []
        )
        offers = tuple(each for each in found if each is not None)
        brought = Brought(customer_id, permit, asked.codes, asked.loyalty if personal else "", offers, exhausted)
        naming = Naming(new_id("quote"), new_id("decision"), asked.channel, micros_of(self.clock.now()))
        priced = price(shelf, asked.market, asked.lines, brought, naming)
        if priced.quote.basket.personalised:
            priced = priced._replace(quote=replace(priced.quote, quote_id=personal_id(naming.quote_id)))
        document = canonical(priced.quote)
        return Made(priced, permission, document, *self.signs.sign(document))


def holding(made: Made) -> list[Use]:
    """Return the uses that must be held: those of promotions with caps."""
    return [use for use in made.priced.quote.basket.uses if use.promotion.caps.any]
