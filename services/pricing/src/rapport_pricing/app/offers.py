"""Use cases: offers to one customer, by somebody's wish or because the customer may leave."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn, Protocol

from rapport_chassis.ids import new_id
from rapport_privacy.decision import Decision
from rapport_privacy.permits import Permits
from rapport_privacy.vocabulary import Answer, Reason

from rapport_pricing.app.offer_terms import OfferState, StoredOffer, Treatment
from rapport_pricing.app.rules import Rulebook
from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.promotions import Audience, Caps

_DRAWN: Final = 8
_ALL: Final = 1 << 8 * _DRAWN
_RETRY_AFTER_S: Final = 0.5
_UNKNOWN: Final = frozenset((Answer.DENY_STALE, Answer.DENY_UNKNOWN))


class Offering(NamedTuple):
    """An offer that is wished: to whom, of which promotion, for which brand and market, until when, because of what."""

    profile_id: str
    promotion_id: str
    brand_id: str = ""
    market: str = ""
    until_us: int | None = None
    cause_event_id: str = ""


class OfferBook(Protocol):
    """Offers in a transaction that holds the head of the catalogue."""

    @property
    def now_us(self) -> int:
        """The time of this write."""
        ...

    async def rulebook(self) -> Rulebook:
        """Return what is in force now."""
        ...

    async def make(self, offer: StoredOffer, caps: Caps, customer_ids: Sequence[str]) -> None:
        """Keep a new offer, hold a use of its promotion if it is treated and there are caps, and tell of it.

        Raises:
            RapportError: BUDGET_EXHAUSTED, CUSTOMER_CAP_REACHED.
        """
        ...

    async def end(self, offers: Sequence[StoredOffer], state: OfferState) -> None:
        """Have open offers stand elsewhere, and tell of it."""
        ...


@dataclass(frozen=True)
class HoldsOut:
    """Says by chance who is held out: the same for ever, whatever a model says, in every process.

    Attributes:
        salt: Drawn once for the installation.
        share: Share of all customers; a larger one holds out everybody whom a smaller one does.
    """

    salt: bytes
    share: float

    def __call__(self, profile_id: str) -> bool:
        """Whether chance holds a customer out."""
        drawn = hmac.digest(self.salt, profile_id.encode(), "sha256")[:_DRAWN]
        return int.from_bytes(drawn, "big") < self.share * _ALL


async def make_offer(
    book: OfferBook,
    offering: Offering,
    decision: Decision,
    permission: bytes,
    treatment: Treatment,
    customer_ids: Sequence[str],
) -> StoredOffer:
    """Make an offer that the gate permits.

    Args:
        book: Where offers are.
        offering: What is wished.
        decision: The gate's answer.
        permission: The same as a message.
        treatment: Whether it is made or only recorded.
        customer_ids: Every id that stands for the customer.

    Raises:
        RapportError: PROMOTION_NOT_FOUND; OFFER_INVALID: the promotion is over, or not for that market;
            BUDGET_EXHAUSTED, CUSTOMER_CAP_REACHED.
    """
    now_us = book.now_us
    promotion = (await book.rulebook()).promotions.get(offering.promotion_id)
    if promotion is None or promotion.audience is not Audience.INDIVIDUAL:
        raise ERRORS.error("PROMOTION_NOT_FOUND", "no such individual promotion is in force", field="promotion_id")
    until_us = promotion.until_us if offering.until_us is None else min(offering.until_us, promotion.until_us)
    since_us = max(now_us, promotion.since_us)
    if since_us >= until_us:
        raise ERRORS.error("OFFER_INVALID", "the offer would end before it begins", field="valid_until")
    if offering.market and promotion.scope.markets and offering.market not in promotion.scope.markets:
        raise ERRORS.error("OFFER_INVALID", "the promotion is not for that market", field="market")
    offer = StoredOffer(
        new_id("offer"),
        1,
        decision.profile_id,
        OfferState.OPEN,
        treatment,
        promotion.promotion_id,
        promotion.version,
        new_id("decision"),
        offering.cause_event_id,
        offering.brand_id,
        offering.market,
        since_us,
        until_us,
        now_us,
        permission,
    )
    await book.make(offer, promotion.caps, customer_ids)
    return offer


def permit(permits: Permits, offering: Offering, purpose_id: str, at_least: object = None) -> Decision:
    """Return the gate's answer for an offer at this instant, if it permits.

    Raises:
        RapportError: PROFILE_ERASED, PERMISSION_UNKNOWN, PERSONAL_DENIED, BRAND_REQUIRED.
    """
    decision = permits.check(
        offering.profile_id,
        purpose_id,
        brand_id=offering.brand_id,
        market=offering.market,
        at_least=at_least,  # type: ignore[arg-type] # a position, or None
    )
    if not decision.permitted:
        _refuse(decision)
    return decision


def is_over(decision: Decision) -> bool:
    """Whether the gate says that what was offered may not be offered any more; not for want of knowledge."""
    return not decision.permitted and decision.answer not in _UNKNOWN


def _refuse(decision: Decision) -> NoReturn:
    if decision.reason == Reason.ERASED:
        raise ERRORS.error("PROFILE_ERASED", "the person was erased")
    if decision.answer == Answer.DENY_STALE:
        raise ERRORS.error("PERMISSION_UNKNOWN", "the gate does not know freshly enough", retry_after_s=_RETRY_AFTER_S)
    raise ERRORS.error(
        "PERSONAL_DENIED",
        "the gate denies the purpose of personal prices",
        metadata={"position": str(decision.position)},
    )
