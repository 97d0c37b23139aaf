"""What helps against a reason for leaving: one suggestion, as a code, for whoever acts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from rapport_churn.domain.features import Group


class Means(StrEnum):
    """By what an intervention works: it is pointless where a customer is tired of just that."""

    MESSAGE = "message"
    OFFER = "offer"
    PERSON = "person"
    RESTRAINT = "restraint"


class Intervention(NamedTuple):
    """A suggestion: its code, and by what it works."""

    code: str
    means: Means


INTERVENTIONS: Final[Mapping[str, tuple[Intervention, ...]]] = {
    Group.LESS_ACTIVE: (
        Intervention("win_back_offer", Means.OFFER),
        Intervention("reminder", Means.MESSAGE),
        Intervention("personal_call", Means.PERSON),
    ),
    Group.BUYS_RARELY: (
        Intervention("replenishment_reminder", Means.MESSAGE),
        Intervention("loyalty_offer", Means.OFFER),
    ),
    Group.LOW_SPEND: (
        Intervention("bundle_offer", Means.OFFER),
        Intervention("recommendations", Means.MESSAGE),
    ),
    Group.BUYING_RHYTHM: (
        Intervention("timed_reminder", Means.MESSAGE),
        Intervention("timed_offer", Means.OFFER),
    ),
    Group.NEW_CUSTOMER: (
        Intervention("welcome_series", Means.MESSAGE),
        Intervention("second_order_offer", Means.OFFER),
    ),
    Group.RETURNS: (
        Intervention("fit_advice", Means.PERSON),
        Intervention("product_advice", Means.MESSAGE),
    ),
    Group.FEW_VISITS: (
        Intervention("news_digest", Means.MESSAGE),
        Intervention("visit_offer", Means.OFFER),
    ),
    Group.IGNORES_MESSAGES: (Intervention("fewer_messages", Means.RESTRAINT),),
    Group.OFFER_FATIGUE: (Intervention("fewer_offers", Means.RESTRAINT),),
    Group.SERVICE_TROUBLE: (Intervention("service_recovery", Means.PERSON),),
    Group.CHANNEL_MIX: (Intervention("channel_guidance", Means.MESSAGE),),
    Group.SUBSCRIPTION: (
        Intervention("plan_review", Means.PERSON),
        Intervention("renewal_offer", Means.OFFER),
    ),
    Group.SEASON: (),
}
"""What helps against each reason, the best first. Nothing helps against the season."""

_TIRED_OF: Final = {Means.OFFER: Group.OFFER_FATIGUE, Means.MESSAGE: Group.IGNORES_MESSAGES}


def suggest(reasons: Mapping[str, float]) -> str:
    """Return the code of what helps against the strongest reason that anything helps against; empty for nothing.

    An offer is not suggested to one whom offers drive away, nor a message to one whom messages do.

    Args:
        reasons: What each group adds to the log-odds of leaving.
    """
    driving = sorted((-added, group) for group, added in reasons.items() if added > 0)
    pointless = {means for means, group in _TIRED_OF.items() if reasons.get(group, 0.0) > 0}
    for _, group in driving:
        for intervention in INTERVENTIONS.get(group, ()):
            if intervention.means not in pointless:
                return intervention.code
    return ""
