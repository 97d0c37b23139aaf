"""The features that models learn from, declared: a new one is a line here and a training; no state is built again.

None of them is, or stands for, a sensitive attribute: they tell what happened between a customer and the company, when,
where and for how much.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final, NamedTuple

from rapport_churn.domain.facts import FactKind
from rapport_churn.domain.terms import (
    EVER,
    Aggregate,
    Excess,
    Measure,
    Month,
    Ratio,
    Source,
    Term,
    Variation,
    Window,
    measures_of,
)


class Group(StrEnum):
    """The reasons a business speaks of; what a model says is summed over the features of each."""

    LESS_ACTIVE = "less_active"
    BUYS_RARELY = "buys_rarely"
    LOW_SPEND = "low_spend"
    BUYING_RHYTHM = "buying_rhythm"
    NEW_CUSTOMER = "new_customer"
    RETURNS = "returns"
    FEW_VISITS = "few_visits"
    IGNORES_MESSAGES = "ignores_messages"
    OFFER_FATIGUE = "offer_fatigue"
    SERVICE_TROUBLE = "service_trouble"
    CHANNEL_MIX = "channel_mix"
    SUBSCRIPTION = "subscription"
    SEASON = "season"


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature: its name, the reason it belongs to, and the term that it is. A categorical one holds codes."""

    name: str
    group: Group
    term: Term
    categorical: bool = False


class Summary(NamedTuple):
    """What a model of buying rhythm needs of a customer who has bought: days are days of UTC with a purchase.

    Attributes:
        frequency: Days with a purchase, less the first.
        recency_days: From the first of them to the last.
        tenure_days: From the first of them to the cutoff.
        mean_value: Minor units spent on such a day, on average, less the first; 0 without another.
    """

    frequency: int
    recency_days: int
    tenure_days: int
    mean_value: float


@dataclass(frozen=True)
class FeatureSet:
    """Features in the order of a vector."""

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if len({each.name for each in self.features}) != len(self.features):
            raise ValueError("two features have one name")

    def __len__(self) -> int:
        return len(self.features)

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """Every measure once, in order of first use."""
        return tuple(dict.fromkeys(measure for each in self.features for measure in measures_of(each.term)))

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """Every source once, those of windows too; first that of orders, which labels and summaries need."""
        used = (source for each in self.measures for source in (each.source, each.window.after) if source is not None)
        return tuple(dict.fromkeys((ORDERS, *used)))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what is declared: two sets of one digest give the same vectors."""
        lines = (f"{each.name} {each.group.value} {each.term} {each.categorical}\n" for each in self.features)
        return hashlib.sha256("".join(["1\n", *lines]).encode()).hexdigest()


def _of(*kinds: FactKind, at_least: int | None = None, at_most: int | None = None) -> Source:
    return Source(kinds, at_least=at_least, at_most=at_most)


ORDERS: Final = _of(FactKind.ORDER)
RETURNS: Final = _of(FactKind.RETURNED)
VIEWS: Final = _of(FactKind.VIEWED)
SEARCHES: Final = _of(FactKind.SEARCHED)
CARTS: Final = _of(FactKind.CART_CHANGED, at_least=1)
VISITS: Final = _of(FactKind.VIEWED, FactKind.SEARCHED, FactKind.CART_CHANGED)
ACTIVE: Final = _of(
    FactKind.ORDER, FactKind.VIEWED, FactKind.SEARCHED, FactKind.CART_CHANGED, FactKind.MESSAGE_CLICKED,
    FactKind.OFFER_ACCEPTED, FactKind.CONTACT_OPENED, FactKind.FEEDBACK,
)  # fmt: skip
LATE: Final = _of(FactKind.DELIVERED, at_least=1)
MESSAGES: Final = _of(FactKind.MESSAGE_DELIVERED)
OPENED: Final = _of(FactKind.MESSAGE_OPENED)
CLICKED: Final = _of(FactKind.MESSAGE_CLICKED)
ENGAGED: Final = _of(FactKind.MESSAGE_OPENED, FactKind.MESSAGE_CLICKED)
UNSUBSCRIBED: Final = _of(FactKind.UNSUBSCRIBED)
OFFERS: Final = _of(FactKind.OFFER_RECEIVED)
SHOWN: Final = _of(FactKind.OFFER_SHOWN)
ACCEPTED: Final = _of(FactKind.OFFER_ACCEPTED, FactKind.OFFER_REDEEMED)
REFUSED: Final = _of(FactKind.OFFER_REFUSED)
EXPIRED: Final = _of(FactKind.OFFER_EXPIRED)
REDEEMED: Final = _of(FactKind.OFFER_REDEEMED)
CONTACTS: Final = _of(FactKind.CONTACT_OPENED)
ANSWERS: Final = _of(FactKind.CONTACT_ANSWERED)
SETTLED: Final = _of(FactKind.CONTACT_CLOSED, at_least=1)
FEEDBACK: Final = _of(FactKind.FEEDBACK)
POOR_FEEDBACK: Final = _of(FactKind.FEEDBACK, at_most=400)
RENEWED: Final = _of(FactKind.SUBSCRIPTION_RENEWED)
ENDED: Final = _of(FactKind.SUBSCRIPTION_REDUCED, FactKind.SUBSCRIPTION_ENDED)

# Numbers of rapport.identity.v1.Channel: web, app, social, partner; store, kiosk; e-mail, text, call, chat, post.
ONLINE_ORDERS: Final = Source((FactKind.ORDER,), channels=(1, 2, 11, 13))
STORE_ORDERS: Final = Source((FactKind.ORDER,), channels=(3, 4))
ASSISTED_ORDERS: Final = Source((FactKind.ORDER,), channels=(5, 6, 7, 8, 9, 10, 12))


def _count(source: Source, days: int | None = None, skip: int = 0) -> Measure:
    return Measure(source, Aggregate.COUNT, Window(days, skip))


def _since(source: Source, anchor: Source) -> Measure:
    return Measure(source, Aggregate.COUNT, Window(after=anchor))


def _value(source: Source, days: int | None = None, skip: int = 0) -> Measure:
    return Measure(source, Aggregate.VALUE, Window(days, skip))


def _age(source: Source) -> Measure:
    return Measure(source, Aggregate.AGE)


def _trend(source: Source, days: int) -> Ratio:
    return Ratio(_count(source, days), _count(source, days, skip=days), plus=1)


def _windows(name: str, group: Group, source: Source, *windows: int | None) -> Iterator[Feature]:
    for days in windows:
        yield Feature(f"{name}_{'ever' if days is None else days}", group, _count(source, days))


def _spending() -> Iterator[Feature]:
    group = Group.LOW_SPEND
    for days in (30, 60, 90, 180, 365, None):
        yield Feature(f"spend_{'ever' if days is None else days}", group, _value(ORDERS, days))
    for days in (90, 365, None):
        name = "ever" if days is None else days
        items = Measure(ORDERS, Aggregate.QUANTITY, Window(days))
        yield Feature(f"basket_{name}", group, Ratio(_value(ORDERS, days), _count(ORDERS, days)))
        yield Feature(f"items_{name}", group, items)
        yield Feature(f"items_per_order_{name}", group, Ratio(items, _count(ORDERS, days)))
    yield Feature("item_price_365", group, Ratio(_value(ORDERS, 365), Measure(ORDERS, Aggregate.QUANTITY, Window(365))))
    yield Feature("spend_trend_90", group, Ratio(_value(ORDERS, 90), _value(ORDERS, 90, skip=90), plus=1))
    yield Feature("discount_share_365", group, Ratio(_value(REDEEMED, 365), _value(ORDERS, 365)))


def _rhythm() -> Iterator[Feature]:
    group = Group.BUYING_RHYTHM
    gaps, span = Measure(ORDERS, Aggregate.GAPS), Measure(ORDERS, Aggregate.SPAN)
    last, mean = Measure(ORDERS, Aggregate.LAST_GAP), Ratio(span, gaps)
    yield Feature("gap_last", group, last)
    yield Feature("gap_mean", group, mean)
    yield Feature("gap_variation", group, Variation(ORDERS))
    yield Feature("gap_last_to_mean", group, Ratio(last, mean))
    yield Feature("overdue", group, Ratio(_age(ORDERS), mean))
    yield Feature("span", group, span)
    yield Feature("orders_per_tenure", group, Ratio(_count(ORDERS), Measure(ORDERS, Aggregate.TENURE), plus=1))


def _buying() -> Iterator[Feature]:
    yield Feature("days_since_order", Group.LESS_ACTIVE, _age(ORDERS))
    for days in (30, 90, 180):
        yield Feature(f"orders_trend_{days}", Group.LESS_ACTIVE, _trend(ORDERS, days))
    yield Feature("days_since_active", Group.LESS_ACTIVE, _age(ACTIVE))
    for days in (7, 30, 90, 365):
        yield Feature(f"active_days_{days}", Group.LESS_ACTIVE, Measure(ACTIVE, Aggregate.DAYS, Window(days)))
    yield Feature("active_trend_30", Group.LESS_ACTIVE, _trend(ACTIVE, 30))
    yield from _windows("orders", Group.BUYS_RARELY, ORDERS, 7, 30, 60, 90, 180, 365, None)
    for window in (Window(90), Window(365), EVER):
        name = "ever" if window.days is None else window.days
        yield Feature(f"order_days_{name}", Group.BUYS_RARELY, Measure(ORDERS, Aggregate.DAYS, window))
    # What followed this day a year ago.
    yield Feature("orders_season", Group.SEASON, _count(ORDERS, 90, skip=275))
    yield Feature("month", Group.SEASON, Month(), categorical=True)
    yield Feature("tenure", Group.NEW_CUSTOMER, Measure(ORDERS, Aggregate.TENURE))
    yield Feature("days_known", Group.NEW_CUSTOMER, Measure(ACTIVE, Aggregate.TENURE))


def _channels() -> Iterator[Feature]:
    group = Group.CHANNEL_MIX
    for name, source in (("online", ONLINE_ORDERS), ("store", STORE_ORDERS), ("assisted", ASSISTED_ORDERS)):
        yield Feature(f"{name}_share_365", group, Ratio(_count(source, 365), _count(ORDERS, 365)))
    yield Feature("last_channel", group, Measure(ORDERS, Aggregate.CHANNEL), categorical=True)


def _returning() -> Iterator[Feature]:
    group = Group.RETURNS
    yield from _windows("returns", group, RETURNS, 90, 365, None)
    yield Feature("returns_since_order", group, _since(RETURNS, ORDERS))
    yield Feature("returned_share_365", group, Ratio(_value(RETURNS, 365), _value(ORDERS, 365)))
    yield Feature("returned_share_ever", group, Ratio(_value(RETURNS), _value(ORDERS)))
    yield Feature("returns_per_order", group, Ratio(_count(RETURNS), _count(ORDERS)))
    yield Feature("days_since_return", group, _age(RETURNS))


def _visiting() -> Iterator[Feature]:
    group = Group.FEW_VISITS
    yield from _windows("views", group, VIEWS, 7, 30, 90)
    yield from _windows("searches", group, SEARCHES, 30)
    yield from _windows("carts", group, CARTS, 30, 90)
    yield Feature("carts_since_order", group, _since(CARTS, ORDERS))
    yield Feature("visits_since_order", group, _since(VISITS, ORDERS))
    yield Feature("days_since_visit", group, _age(VISITS))
    yield Feature("visits_trend_30", group, _trend(VISITS, 30))
    yield Feature("orders_per_visit_90", group, Ratio(_count(ORDERS, 90), _count(VISITS, 90)))


def _messages() -> Iterator[Feature]:
    group = Group.IGNORES_MESSAGES
    yield from _windows("messages", group, MESSAGES, 30, 90)
    yield Feature("opened_share_90", group, Ratio(_count(OPENED, 90), _count(MESSAGES, 90)))
    yield Feature("clicked_share_90", group, Ratio(_count(CLICKED, 90), _count(MESSAGES, 90)))
    yield Feature("messages_since_engaged", group, _since(MESSAGES, ENGAGED))
    yield Feature("days_since_engaged", group, _age(ENGAGED))
    yield Feature("engaged_trend_30", group, _trend(ENGAGED, 30))
    yield Feature("unsubscribed_365", group, _count(UNSUBSCRIBED, 365))


def _offers() -> Iterator[Feature]:
    group = Group.OFFER_FATIGUE
    yield from _windows("offers", group, OFFERS, 30, 90)
    yield from _windows("offers_shown", group, SHOWN, 90)
    yield from _windows("offers_refused", group, REFUSED, 90)
    yield from _windows("offers_expired", group, EXPIRED, 90)
    yield from _windows("offers_accepted", group, ACCEPTED, 90, 365)
    yield Feature("accepted_share_365", group, Ratio(_count(ACCEPTED, 365), _count(OFFERS, 365)))
    yield Feature("offers_since_accepted", group, _since(OFFERS, ACCEPTED))


def _service() -> Iterator[Feature]:
    group = Group.SERVICE_TROUBLE
    yield from _windows("contacts", group, CONTACTS, 30, 90, 365)
    yield Feature("contacts_open_365", group, Excess(_count(CONTACTS, 365), _count(SETTLED, 365)))
    yield Feature("contacts_since_order", group, _since(CONTACTS, ORDERS))
    yield Feature("days_since_contact", group, _age(CONTACTS))
    yield Feature("hours_waited_365", group, Ratio(_value(ANSWERS, 365), _count(ANSWERS, 365)))
    yield from _windows("late_deliveries", group, LATE, 90, 365)
    yield Feature("feedback_365", group, Ratio(_value(FEEDBACK, 365), _count(FEEDBACK, 365)))
    yield from _windows("poor_feedback", group, POOR_FEEDBACK, 90, 365)


def _subscriptions() -> Iterator[Feature]:
    group = Group.SUBSCRIPTION
    yield from _windows("subscriptions_renewed", group, RENEWED, 365)
    yield from _windows("subscriptions_ended", group, ENDED, 90, 365)
    yield Feature("days_since_renewed", group, _age(RENEWED))


DEFAULT_FEATURES: Final = FeatureSet(
    (
        *_buying(), *_spending(), *_rhythm(), *_channels(), *_returning(), *_visiting(), *_messages(), *_offers(),
        *_service(), *_subscriptions(),
    )
)  # fmt: skip
"""What an installation learns from unless it says otherwise."""
