"""What an offer is, what lowers a price because of it, and which offers a process knows to be open."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from rapport_pricing.app.rules import Kind, Rules
from rapport_pricing.domain.promotions import Caps, Promotion


class OfferState(StrEnum):
    """Where an offer stands."""

    OPEN = "open"
    USED_UP = "used_up"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"
    NOT_PERMITTED = "not_permitted"


class Treatment(StrEnum):
    """Whether the customer gets what the experiment tries."""

    TREATED = "treated"
    HELD_OUT = "held_out"


class StoredOffer(NamedTuple):
    """An offer to a customer; times are microseconds since 1970.

    Attributes:
        offer_id: Its id.
        version: Rises with each change of its state.
        profile_id: To whom, as named when it was made.
        state: Where it stands.
        treatment: Whether it is made or only recorded.
        promotion_id: What it is an offer of.
        promotion_version: Version of that.
        decision_id: Explains it.
        cause_event_id: The event it answers; empty for none.
        brand_id: Whose; empty for all.
        market: Where; empty for all markets of the promotion.
        since_us: From when.
        until_us: Until when.
        created_us: When it was made.
        permission: The gate's answer then, as a message.
    """

    offer_id: str
    version: int
    profile_id: str
    state: OfferState
    treatment: Treatment
    promotion_id: str
    promotion_version: int
    decision_id: str
    cause_event_id: str
    brand_id: str
    market: str
    since_us: int
    until_us: int
    created_us: int
    permission: bytes

    @property
    def usable(self) -> bool:
        """Whether it may be shown and used while its time lasts."""
        return self.state is OfferState.OPEN and self.treatment is Treatment.TREATED


def promotion_of(offer: StoredOffer, rules: Rules) -> Promotion | None:
    """Return an offer as what lowers a price; None if its promotion is not known.

    Its use was held when it was made: as a promotion it has no caps.
    """
    template = rules.version(Kind.PROMOTION, offer.promotion_id, offer.promotion_version)
    if not isinstance(template, Promotion):
        return None
    scope = template.scope
    if offer.market:
        scope = replace(scope, markets=frozenset((offer.market,)))
    if offer.brand_id:
        scope = replace(scope, brands=frozenset((offer.brand_id,)))
    return replace(
        template,
        promotion_id=offer.offer_id,
        scope=scope,
        since_us=offer.since_us,
        until_us=offer.until_us,
        caps=Caps(),
    )


class OpenOffers:
    """Offers that may be used, in memory, by customer."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, StoredOffer]] = {}
        self._owner: dict[str, str] = {}

    def put(self, offers: Collection[StoredOffer]) -> None:
        """Take in offers as they stand now; one of an erased person is nobody's any more."""
        for offer in offers:
            owner = self._owner.pop(offer.offer_id, None)
            if owner is not None:
                mine = self._of[owner]
                del mine[offer.offer_id]
                if not mine:
                    del self._of[owner]
            if offer.usable:
                self._of.setdefault(offer.profile_id, {})[offer.offer_id] = offer
                self._owner[offer.offer_id] = offer.profile_id

    def of(self, profile_ids: Sequence[str]) -> list[StoredOffer]:
        """Return the offers to a customer, by any of the ids that stand for them."""
        return [each for profile_id in profile_ids for each in self._of.get(profile_id, {}).values()]
