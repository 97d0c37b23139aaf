"""Use cases: who may leave gets an offer, by chance not everybody, and not twice within a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from rapport_chassis.errors import RapportError
from rapport_privacy.decision import Decision
from rapport_privacy.permits import Permits
from rapport_privacy.vocabulary import Answer

from rapport_pricing.app.offer_terms import OfferState, StoredOffer, Treatment
from rapport_pricing.app.offers import HoldsOut, OfferBook, Offering, make_offer
from rapport_pricing.app.people import LedgerPeople

# Who was erased a moment ago, which the gate did not know yet, gets none either.
_NOT_MADE: Final = frozenset(
    ("PROMOTION_NOT_FOUND", "OFFER_INVALID", "BUDGET_EXHAUSTED", "CUSTOMER_CAP_REACHED", "PROFILE_ERASED")
)


class Risk(NamedTuple):
    """What was heard of a customer's risk.

    Attributes:
        event_id: The event that told of it.
        profile_id: Whose.
        version: Of what is told of the customer's risk.
        level: How great it is, by the contract's number; 0 once it is over.
        held_out: Whether nobody may treat the customer.
    """

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

    async def put_off(self, risk: Risk) -> None:
        """Have a risk that was heard of wait for its answer."""
        ...

    async def take_up(self, risk: Risk) -> bool:
        """Have a risk wait no longer; False if it did not, or something newer was heard."""
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

    async def hear(self, book: RetentionBook, risk: Risk) -> None:
        """Answer what is told of a risk, unless something as new was heard before."""
        if await book.heard(risk.profile_id, risk.version):
            await self._answer(book, risk)

    async def take_up(self, book: RetentionBook, risk: Risk) -> None:
        """Answer a risk that had to wait, unless more was heard of it meanwhile."""
        if await book.take_up(risk):
            await self._answer(book, risk)

    def must_wait(self, risk: Risk) -> bool:
        """Whether the gate does not know well enough now what may be offered, or to whom an offer was made."""
        if not risk.level:
            return not self.people.are_known
        return self.rule is not None and self._decision(risk, self.rule).answer == Answer.DENY_STALE

    async def _answer(self, book: RetentionBook, risk: Risk) -> None:
        if not risk.level:
            await self._withdraw(book, risk)
        elif self.rule is not None and risk.level >= self.rule.least_level:
            await self._offer(book, risk, self.rule)

    async def _withdraw(self, book: RetentionBook, risk: Risk) -> None:
        """Take back what answers a risk that is over: what is known to, and the rest once that is known."""
        if not self.people.are_known:
            await book.put_off(risk)
        found = await book.answering(self.people.ids_of(risk.profile_id), book.now_us)
        await book.end([each for each in found if each.state is OfferState.OPEN], OfferState.WITHDRAWN)

    async def _offer(self, book: RetentionBook, risk: Risk, rule: RetentionRule) -> None:
        """Make an offer, or record that none is made: by a draw that is the same whenever it is made."""
        ids = self.people.ids_of(risk.profile_id)
        if await book.answering(ids, book.now_us - rule.quiet_us):
            return
        decision = self._decision(risk, rule)
        if decision.answer == Answer.DENY_STALE:
            await book.put_off(risk)
        if not decision.permitted:
            return
        until_us = book.now_us + rule.valid_us
        offering = Offering(risk.profile_id, rule.promotion_id, rule.brand_id, rule.market, until_us, risk.event_id)
        held_out = risk.held_out or HoldsOut(book.holdout_salt, rule.holdout_share)(decision.profile_id)
        treatment = Treatment.HELD_OUT if held_out else Treatment.TREATED
        try:
            await make_offer(book, offering, decision, self.message(decision), treatment, ids)
        except RapportError as error:
            if error.reason.name not in _NOT_MADE:
                raise

    def _decision(self, risk: Risk, rule: RetentionRule) -> Decision:
        return self.permits.check(risk.profile_id, self.purpose_id, brand_id=rule.brand_id, market=rule.market)


async def one_offer(book: RetentionBook, profile_ids: Sequence[str]) -> None:
    """Leave somebody who was taken for several people one offer that answers a risk: the latest."""
    found = await book.answering(profile_ids, book.now_us)
    standing = sorted((each for each in found if each.state is OfferState.OPEN), key=lambda each: each.created_us)
    await book.end(standing[:-1], OfferState.WITHDRAWN)
