"""Budgets and caps as arithmetic of reservations: what is held can never exceed what there is.

A use is reserved when quoted, then committed when redeemed or released; a reservation that ran out counts no more.
Whoever stores the counts applies one step at a time: a locked row, or one conditional update with the same comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rapport_pricing.domain.errors import ERRORS
from rapport_pricing.domain.promotions import Caps


@dataclass(frozen=True, slots=True)
class Tally:
    """What of a promotion is used, by everybody.

    Attributes:
        reserved_uses: Held by quotes that may still be redeemed.
        reserved_amount: Minor units held by them.
        committed_uses: Redeemed.
        committed_amount: Minor units redeemed.
    """

    reserved_uses: int = 0
    reserved_amount: int = 0
    committed_uses: int = 0
    committed_amount: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """One use that is held until a time."""

    promotion_id: str
    quote_id: str
    amount: int
    until_us: int


def reserve(tally: Tally, caps: Caps, amount: int, *, uses_of_customer: int) -> Tally:
    """Return the tally with one more use held.

    Args:
        tally: What is used so far, lapsed reservations released.
        caps: Bounds of the promotion.
        amount: Minor units that the use costs.
        uses_of_customer: Reserved and committed uses of this customer.

    Raises:
        RapportError: CUSTOMER_CAP_REACHED or BUDGET_EXHAUSTED; nothing is held then.
    """
    if caps.uses_each is not None and uses_of_customer >= caps.uses_each:
        raise ERRORS.error("CUSTOMER_CAP_REACHED", f"at most {caps.uses_each} uses each")
    if caps.uses is not None and tally.reserved_uses + tally.committed_uses >= caps.uses:
        raise ERRORS.error("BUDGET_EXHAUSTED", f"at most {caps.uses} uses")
    if caps.budget is not None and tally.reserved_amount + tally.committed_amount + amount > caps.budget:
        raise ERRORS.error("BUDGET_EXHAUSTED", "the budget is spent or held")
    return replace(tally, reserved_uses=tally.reserved_uses + 1, reserved_amount=tally.reserved_amount + amount)


def commit(tally: Tally, reservation: Reservation, *, paid: int, at_us: int) -> Tally:
    """Return the tally with a reservation redeemed.

    Args:
        tally: What is used so far; it holds the reservation.
        reservation: The use.
        paid: What the redeemed quote took off: at most what was held, since only a drop of the price is passed on.
        at_us: When.

    Raises:
        RapportError: RESERVATION_LAPSED, it ran out; the quote must be made again.
    """
    if at_us >= reservation.until_us:
        raise ERRORS.error("RESERVATION_LAPSED", "the reservation ran out before it was redeemed")
    if not 0 <= paid <= reservation.amount:
        raise ERRORS.error("BUDGET_EXHAUSTED", "more was taken off than was held")
    released = release(tally, reservation)
    return replace(
        released,
        committed_uses=released.committed_uses + 1,
        committed_amount=released.committed_amount + paid,
    )


def release(tally: Tally, reservation: Reservation) -> Tally:
    """Return the tally without a reservation that lapsed or was given back."""
    return replace(
        tally,
        reserved_uses=tally.reserved_uses - 1,
        reserved_amount=tally.reserved_amount - reservation.amount,
    )
