"""An event of another context, as triggers and waiting messages see it: fields by name, and whom it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Product:
    """What a price or a stock is of.

    Attributes:
        product_id: The product.
        variant_id: Its variant; "" for one without.
        market: Where.
    """

    product_id: str
    variant_id: str
    market: str


@dataclass(frozen=True, slots=True)
class Occurred:
    """What happened. It names nobody but by ids.

    Attributes:
        event: Its type, for example "offer_created".
        event_id: The event; "" for an event of the past that a simulation reads.
        cause_key: What it is about, however often it is told: a fact that moves to another profile, an offer whose
            state changes. One key leads to one message of a trigger to a person.
        fields: What it says.
        occurred_us: When.
        profile_id: Whom it is about; "" for nobody in particular.
        request_id: The privacy request it is about; "" for none.
        product: The product it is about; None for none.
        purposes: Those it may serve; None where it was not collected for any in particular.
        brand_id: The brand it happened with; "" for none in particular.
        market: Where; "" if that does not matter.
        locale: Language it happened in; "" if unknown.
        decision_ids: Decisions that led to it.
        expires_us: When what it says is over; None for never.
        version: Of the state that it tells of; 0 where it tells of none.
    """

    event: str
    event_id: str
    cause_key: str
    fields: Mapping[str, str]
    occurred_us: int
    profile_id: str = ""
    request_id: str = ""
    product: Product | None = None
    purposes: frozenset[str] | None = None
    brand_id: str = ""
    market: str = ""
    locale: str = ""
    decision_ids: tuple[str, ...] = field(default=())
    expires_us: int | None = None
    version: int = 0
