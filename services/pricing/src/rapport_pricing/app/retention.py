"""Use cases: who may leave gets an offer, by chance not everybody, and not twice within a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from rapport_chassis.errors import RapportError
from rapport_privacy.decision import Decision

from rapport_pricing.app.offer_terms import OfferState, StoredOffer, Treatment
from rapport_pricing.app.offers import HoldsOut, OfferBook, Offering, make_offer
from rapport_pricing.app.people import LedgerPeople
from rapport_pricing.app.quoting import Permits

_NOT_MADE: Final = frozenset(("PROMOTION_NOT_FOUND", "OFFER_INVALID", "BUDGET_EXHAUSTED", "CUSTOMER_CAP_REACHED"))


class Risk(NamedTuple):
    """What was heard of a customer's risk: its version, how great it is, and whether nobody may treat the customer."""

    event_id: str
    profile_id: str
    version: int
    level: int
    held_out: bool


class RetentionRule(NamedTuple):
    """When an offer answers a risk.

    Attributes:
        promotion_id: What is offered.
        brand_id: For which brand; empty for all.
        market: Where; empty for all markets of the promotion.
        least_level: From which risk on, by the contract's number.
        holdout_share: Share of customers who get none, by chance.
        quiet_us: How long nothing more is offered after an offer: threatening to leave is no way to a discount.
        valid_us: How long an offer holds.
    """

    promotion_id: str
    brand_id: str
    market: str
    least_level: int
    holdout_share: float
    quiet_us: int
    valid_us: int


class RetentionBook(OfferBook, Protocol):
    """Offers in a transaction that holds the head of the catalogue."""

    @property
    def holdout_salt(self) -> bytes:
        """What chance is drawn with."""
        ...

    async def heard(self, profile_id: str, version: int) -> bool:
        """Note what was heard of a customer's risk; False if something as new was heard before."""
        ...

    async def answering(self, profile_ids: Sequence[str], since_us: int) -> Sequence[StoredOffer]:
        """Return a customer's offers that answer an event: open ones, and those made since a time."""
        ...


@dataclass(frozen=True)
class Retain:
    """Answers risks by offers.

    Attributes:
        rule: When; None for never.
        permits: The gate.
        people: Who is whose.
        purpose_id: The purpose of personal prices.
        message: Makes what is kept of the gate's answer.
    """

    rule: RetentionRule | None
    permits: Permits
    people: LedgerPeople
    purpose_id: str
    message: Callable[[Decision], bytes]

    async def raised(self, book: RetentionBook, risk: Risk) -> Treatment | None:
        """Answer a risk that was raised, and return how; None where no offer is made.

        The draw is made before anything is known of the answer, and is the same whenever it is made.
        """
        rule = self.rule
        if not await book.heard(risk.profile_id, risk.version) or rule is None or risk.level < rule.least_level:
            return None
        ids = self.people.ids_of(risk.profile_id)
        if await book.answering(ids, book.now_us - rule.quiet_us):
            return None
        until_us = book.now_us + rule.valid_us
        offering = Offering(risk.profile_id, rule.promotion_id, rule.brand_id, rule.market, until_us, risk.event_id)
        decision = self.permits.check(risk.profile_id, self.purpose_id, brand_id=rule.brand_id, market=rule.market)
        if not decision.permitted:
            return None
        held_out = risk.held_out or HoldsOut(book.holdout_salt, rule.holdout_share)(decision.profile_id)
        treatment = Treatment.HELD_OUT if held_out else Treatment.TREATED
        try:
            await make_offer(book, offering, decision, self.message(decision), treatment, ids)
        except RapportError as error:
            if error.reason.name not in _NOT_MADE:
                raise
            return None
        return treatment

    async def cleared(self, book: RetentionBook, profile_id: str, version: int) -> None:
        """Take back what answers a risk that is over."""
        if await book.heard(profile_id, version):
            found = await book.answering(self.people.ids_of(profile_id), book.now_us)
            await book.end([each for each in found if each.state is OfferState.OPEN], OfferState.WITHDRAWN)


async def one_offer(book: RetentionBook, profile_ids: Sequence[str]) -> None:
    """Leave somebody who was taken for several people one offer that answers a risk: the latest."""
    found = await book.answering(profile_ids, book.now_us)
    standing = sorted((each for each in found if each.state is OfferState.OPEN), key=lambda each: each.created_us)
    await book.end(standing[:-1], OfferState.WITHDRAWN)
