"""Personal prices: they only lower, only where the gate permitted it, and never by way of a raised list price."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from rapport_pricing.domain.law import Law
from rapport_pricing.domain.money import PPM
from rapport_pricing.domain.promotions import Audience, Entitlements, Promotion


@dataclass(frozen=True, slots=True)
class Permit:
    """What the gate answered for the purpose of personal prices.

    Attributes:
        granted: Whether it permitted; anything but a permit is no.
        reference: The grant that it rests on; empty if it denied.
        position: Of the consent ledger.
    """

    granted: bool
    reference: str = ""
    position: int = 0


DENIED: Final = Permit(False)

_GRID_PPM: Final = 25_000
_TOO_SMALL_PPM: Final = 10_000


class PersonalOutcome(Enum):
    """Whether personal data lowered a price, and if not, why."""

    LOWERED = auto()
    NO_CUSTOMER = auto()
    NOT_PERMITTED = auto()
    NOT_LAWFUL = auto()
    NOTHING_OFFERED = auto()
    NOT_LOWER = auto()


def outcome_of(
    *, customer_id: str, permitted: bool, lawful: bool, offered: bool, personalised: bool
) -> PersonalOutcome:
    """Return why personal data lowered a price or did not; of several reasons against it, the first that was met.

    Args:
        customer_id: Whom it was made for; empty for nobody in particular.
        permitted: Whether the gate permitted it.
        lawful: Whether the law allows personal prices of all of the basket.
        offered: Whether the customer had anything that could have lowered it.
        personalised: Whether personal data changed an amount.
    """
    if personalised:
        return PersonalOutcome.LOWERED
    if not customer_id:
        return PersonalOutcome.NO_CUSTOMER
    if not permitted:
        return PersonalOutcome.NOT_PERMITTED
    if not lawful:
        return PersonalOutcome.NOT_LAWFUL
    return PersonalOutcome.NOT_LOWER if offered else PersonalOutcome.NOTHING_OFFERED


def entitlements(
    permit: Permit,
    law: Law,
    *,
    codes: Collection[str],
    loyalty: str,
    offers: Iterable[Promotion],
    inputs: Collection[str],
) -> Entitlements:
    """Return what may lower the price; without a permit nothing personal is looked at, nor changes a byte.

    Args:
        permit: What the gate answered at this instant.
        law: What holds for the product and the market.
        codes: Typed in by the customer; they need no permit.
        loyalty: Tier; personal.
        offers: To this customer, treated and open ones; personal.
        inputs: Names of the personal inputs that offers and tier were made from.

    Raises:
        RapportError: INPUT_BANNED, the law bans one of the inputs.
    """
    if not permit.granted or not law.personal_allowed:
        return Entitlements(frozenset(codes))
    law.admit(inputs)
    mine = tuple(each for each in offers if each.audience is Audience.INDIVIDUAL)
    return Entitlements(frozenset(codes), loyalty, mine)


@dataclass(frozen=True, slots=True)
class ListPriceAudit:
    """Whether a list price heads for what it would head for if nobody got a personal price.

    Attributes:
        believed: The price that earns most by what is believed, in minor units.
        neutral: The same by what is believed without the visits that saw a personal price and taught nevertheless.
        personal_visits: Those visits, as journalled: none, unless the release that quoted them let them teach.
        gap_ppm: By how much the former is above the latter, in parts of a million of it; below zero if lower.
        forgone_ppm: What the former forgoes of the contribution that visits without personal prices promise.
        passed: Whether the gap is no wider than the grid of prices, or too small a matter to tell: a list price that
            is raised to pay for personal ones would be a disguised surcharge.
    """

    believed: int
    neutral: int
    personal_visits: int
    gap_ppm: int
    forgone_ppm: int
    passed: bool


def audit_list_price(believed: int, neutral: int, *, personal_visits: int, forgone_ppm: int) -> ListPriceAudit:
    """Compare where the list price heads for with where it would head for without personal prices.

    Args:
        believed: In minor units.
        neutral: In minor units, above zero.
        personal_visits: Visits that saw a personal price and taught nevertheless.
        forgone_ppm: What `believed` forgoes, in parts of a million.
    """
    gap = (believed - neutral) * PPM // neutral
    passed = gap <= _GRID_PPM or forgone_ppm <= _TOO_SMALL_PPM
    return ListPriceAudit(believed, neutral, personal_visits, gap, forgone_ppm, passed)
