"""What other contexts publish becomes a few integers, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import json_format
from rapport.identity.v1 import events_pb2 as identity_pb2
from rapport.identity.v1 import touchpoint_pb2
from rapport.notification.v1 import events_pb2 as notification_pb2
from rapport.pricing.v1 import events_pb2 as pricing_pb2
from rapport_churn.domain.facts import FactKind
from rapport_churn.translate.facts import Facts, serves
from rapport_churn.translate.money import minor_of, money_of

FACTS = Facts("EUR")
AT, LATER = "2026-01-02T03:04:05.5Z", "2026-01-02T03:04:06Z"
WHO = {"fact_id": "fct_1", "profile_id": "prf_00000001", "owner_version": 2}
ITEM = {"product_id": "prd_00000001"}
EUROS = {"currency_code": "EUR", "units": 20, "nanos": 500_000_000}
POUNDS = {"currency_code": "GBP", "units": 20}
OFFER = {
    "offer_id": "ofr_00000001",
    "version": 3,
    "profile_id": "prf_00000001",
    "state": "OFFER_STATE_OPEN",
    "treatment": "TREATMENT_TREATED",
}
MESSAGE = {"recipient_id": "prf_00000001", "channel": "CHANNEL_EMAIL"}


def touchpoint(**happened: Any) -> identity_pb2.TouchpointRecorded:
    given = {
        "fact": WHO,
        "recorded_at": LATER,
        "touchpoint": {"occurred_at": AT, "channel": "CHANNEL_STORE", "purpose_ids": ["analytics"], **happened},
    }
    return json_format.ParseDict(given, identity_pb2.TouchpointRecorded())


def told(kind: Any, **given: Any) -> Any:
    return json_format.ParseDict({"occurred_at": AT, "recorded_at": LATER, **given}, kind())


@pytest.mark.parametrize(
    ("happened", "kind", "value", "quantity"),
    [
        ({"order_placed": {"lines": [{"quantity": 2}, {"quantity": 3}], "total": EUROS}}, "ORDER", 2050, 5),
        ({"order_placed": {"lines": [{"quantity": 1}], "total": POUNDS}}, "ORDER", 0, 1),
        ({"order_returned": {"refund": EUROS}}, "RETURNED", 2050, 1),
        ({"order_delivered": {"promised_at": "2026-01-01T01:04:05.5Z"}}, "DELIVERED", 26, 1),
        ({"order_delivered": {"promised_at": "2026-01-03T01:04:05Z"}}, "DELIVERED", 0, 1),
        ({"order_delivered": {}}, "DELIVERED", 0, 1),
        ({"viewed": {}}, "VIEWED", 0, 1),
        ({"searched": {"result_count": 7}}, "SEARCHED", 7, 1),
        ({"cart_changed": {"change": "CART_CHANGE_ADDED", "lines": [{"quantity": 4}]}}, "CART_CHANGED", 1, 4),
        ({"cart_changed": {"change": "CART_CHANGE_EMPTIED"}}, "CART_CHANGED", 0, 1),
        ({"message_opened": {}}, "MESSAGE_OPENED", 0, 1),
        ({"message_clicked": {}}, "MESSAGE_CLICKED", 0, 1),
        ({"offer_shown": {}}, "OFFER_SHOWN", 0, 1),
        ({"offer_accepted": {}}, "OFFER_ACCEPTED", 0, 1),
        ({"offer_refused": {}}, "OFFER_REFUSED", 0, 1),
        ({"contact_opened": {}}, "CONTACT_OPENED", 0, 1),
        ({"contact_answered": {"waited": "7300s"}}, "CONTACT_ANSWERED", 2, 1),
        ({"contact_closed": {"resolved": True}}, "CONTACT_CLOSED", 1, 1),
        ({"feedback_given": {"score": 9, "lowest": 0, "highest": 10}}, "FEEDBACK", 900, 1),
        ({"subscription_changed": {"change": 2, "price": EUROS}}, "SUBSCRIPTION_RENEWED", 2050, 1),
        ({"subscription_changed": {"change": "SUBSCRIPTION_CHANGE_PAUSED"}}, "SUBSCRIPTION_REDUCED", 0, 1),
        ({"subscription_changed": {"change": "SUBSCRIPTION_CHANGE_ENDED"}}, "SUBSCRIPTION_ENDED", 0, 1),
    ],
)  # fmt: skip
def test_a_touchpoint_of_each_type(happened: dict[str, Any], kind: str, value: int, quantity: int) -> None:
    fact = FACTS.of(touchpoint(**happened))
    assert fact is not None
    assert (fact.kind, fact.value, fact.quantity, fact.channel) == (FactKind[kind], value, quantity, 3)
    assert (fact.fact_id, fact.profile_id, fact.owner_version) == ("fct_1", "prf_00000001", 2)
    assert fact.occurred_at == datetime(2026, 1, 2, 3, 4, 5, 500_000, UTC).timestamp() * 1_000_000
    assert fact.arrived_at - fact.occurred_at == 500_000


def test_every_type_of_the_vocabulary_is_a_fact() -> None:
    (types,) = touchpoint_pb2.Touchpoint.DESCRIPTOR.oneofs
    given = {"feedback_given": {"highest": 1}, "subscription_changed": {"change": 1}}
    assert all(FACTS.of(touchpoint(**{each.name: given.get(each.name, {})})) for each in types.fields)


def test_a_type_of_a_later_release_and_what_happened_before_1970_are_none() -> None:
    assert FACTS.of(touchpoint()) is None
    assert FACTS.of(touchpoint(viewed={}, occurred_at="1969-12-31T23:59:59Z")) is None


def test_a_channel_of_a_later_release_is_none_and_a_value_too_large_for_a_float_is_cut() -> None:
    event = touchpoint(order_placed={"lines": [{"quantity": 1}], "total": EUROS | {"units": 2**60}})
    event.touchpoint.channel = 300  # type: ignore[assignment] # a number of a later release
    fact = FACTS.of(event)
    assert fact is not None
    assert (fact.channel, fact.value) == (0, 2**53)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (told(pricing_pb2.OfferCreated, offer=OFFER), "OFFER_RECEIVED"),
        (told(pricing_pb2.OfferExpired, offer=OFFER | {"state": "OFFER_STATE_LAPSED"}), "OFFER_EXPIRED"),
        (told(notification_pb2.NotificationDelivered, fact=WHO, notification=MESSAGE), "MESSAGE_DELIVERED"),
        (told(notification_pb2.NotificationDropped, fact=WHO, notification=MESSAGE), "MESSAGE_DROPPED"),
        (told(notification_pb2.NotificationFailed, fact=WHO, notification=MESSAGE, final=True), "MESSAGE_DROPPED"),
        (told(notification_pb2.NotificationEngaged, fact=WHO, notification=MESSAGE, engagement=1), "MESSAGE_OPENED"),
        (told(notification_pb2.NotificationEngaged, fact=WHO, notification=MESSAGE, engagement=2), "MESSAGE_CLICKED"),
        (told(notification_pb2.ContactUnsubscribed, fact=WHO), "UNSUBSCRIBED"),
    ],
)
def test_what_the_company_did_is_a_fact_too(given: Any, kind: str) -> None:
    fact = FACTS.of(given)
    assert fact is not None
    assert (fact.kind, fact.profile_id) == (FactKind[kind], "prf_00000001")


@pytest.mark.parametrize(
    "given",
    [
        told(pricing_pb2.OfferCreated, offer=OFFER | {"treatment": "TREATMENT_HELD_OUT"}),
        told(pricing_pb2.OfferExpired, offer=OFFER | {"state": "OFFER_STATE_USED_UP"}),
        told(notification_pb2.NotificationDelivered, notification={"recipient_id": "req_00000001"}),
        told(notification_pb2.NotificationFailed, fact=WHO, notification=MESSAGE, final=False),
        told(notification_pb2.NotificationEngaged, fact=WHO, notification=MESSAGE, engagement=1, by=2),
        told(notification_pb2.NotificationEngaged, fact=WHO, notification=MESSAGE, engagement=4),
    ],
)
def test_what_reached_nobody_or_was_done_by_nobody_is_none(given: Any) -> None:
    assert FACTS.of(given) is None


def test_an_offer_is_one_fact_however_often_it_is_told_and_its_version_says_whose_it_is() -> None:
    first, again = (
        told(pricing_pb2.OfferCreated, offer=OFFER),
        told(pricing_pb2.OfferCreated, offer=OFFER | {"version": 4}),
    )
    one, other = FACTS.of(first), FACTS.of(again)
    assert one is not None
    assert other is not None
    assert (one.fact_id, one.owner_version, other.owner_version) == (other.fact_id, 3, 4)


def test_a_redeemed_quote_is_worth_what_it_took_off() -> None:
    prices = [{"list": EUROS, "quoted": EUROS | {"units": 17}}, {"list": EUROS, "quoted": EUROS}]
    fact = FACTS.of(told(pricing_pb2.QuoteRedeemed, fact=WHO, prices=prices))
    assert fact is not None
    assert (fact.kind, fact.value, fact.quantity) == (FactKind.OFFER_REDEEMED, 300, 2)


def test_a_touchpoint_serves_if_one_of_its_purposes_does() -> None:
    visit = touchpoint(viewed={}).touchpoint
    assert serves(visit, ["profiling.churn", "analytics"])
    assert not serves(visit, ["profiling.churn"])


@pytest.mark.parametrize(("currency", "minor"), [("EUR", 1234), ("JPY", 12), ("KWD", 12345), ("EUR", 0)])
def test_an_amount_goes_through_its_message_unchanged(currency: str, minor: int) -> None:
    message = money_of(minor, currency)
    assert minor_of(message, currency) == minor
    assert minor_of(message, "CHF") == 0
