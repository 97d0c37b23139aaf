"""Events as their readers meet them: what is valid passes, what is not is refused, and by the field at fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contract_words import faults
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from rapport.identity.v1 import touchpoint_pb2
from rapport.notification.v1 import events_pb2 as notification_pb2

EXAMPLES: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "examples.json").read_text())
MESSAGE: dict[str, Any] = {
    "notification_id": "ntf_00000001",
    "recipient_id": "prf_00000001",
    "class": "MESSAGE_CLASS_MARKETING",
    "category": "offers",
    "channel": "CHANNEL_EMAIL",
    "template_id": "retention",
    "template_version": 3,
    "purpose_id": "marketing.email",
    "cause_event_id": "evt_00000001",
    "decision_id": "dec_00000001",
    "decision_ids": ["dec_00000002"],
}
OWNED: dict[str, Any] = {
    "fact": {"fact_id": "f1", "profile_id": "prf_00000001", "owner_version": 1},
    "notification": MESSAGE,
    "occurred_at": "2026-01-02T03:04:05Z",
    "recorded_at": "2026-01-02T03:04:06Z",
}
OF_A_MESSAGE: dict[str, dict[str, Any]] = {
    "NotificationAccepted": {"expires_at": "2026-01-03T00:00:00Z"},
    "NotificationHeld": {"reason": "HOLD_REASON_QUIET_HOURS", "held_until": "2026-01-02T08:00:00Z"},
    "NotificationSent": {"attempt": 1, "provider": "relay-a"},
    "NotificationDelivered": {"attempt": 1},
    "NotificationFailed": {"attempt": 2, "failure": "FAILURE_KIND_HARD_BOUNCE", "status_code": "5.1.1", "final": True},
    "NotificationDropped": {"reason": "DROP_REASON_NOT_PERMITTED"},
    "NotificationEngaged": {"engagement": "ENGAGEMENT_CLICKED", "by": "ENGAGED_BY_PERSON", "link": "offer"},
}
EXAMPLES |= {f"rapport.notification.v1.{name}": OWNED | fields for name, fields in OF_A_MESSAGE.items()}
ITEM = {"product_id": "prd_00000001"}
LINE = {"item": ITEM, "quantity": 2}
EUROS: dict[str, Any] = {"currency_code": "EUR", "units": 20}
TOUCHPOINTS: dict[str, Any] = {
    "viewed": {"item": ITEM, "dwell": "2.5s"},
    "searched": {"category": "shoes", "result_count": 12},
    "cart_changed": {"cart_id": "crt_00000001", "change": "CART_CHANGE_ADDED", "lines": [LINE]},
    "order_placed": {"order_id": "ord_00000001", "lines": [LINE], "total": EUROS},
    "order_delivered": {"order_id": "ord_00000001", "promised_at": "2026-01-02T03:04:05Z"},
    "order_returned": {"order_id": "ord_00000001", "refund": EUROS, "reason": "RETURN_REASON_FIT"},
    "message_opened": {"notification_id": "ntf_00000001"},
    "message_clicked": {"notification_id": "ntf_00000001", "link": "offer"},
    "offer_shown": {"offer_id": "ofr_00000001"},
    "offer_accepted": {"offer_id": "ofr_00000001", "order_id": "ord_00000001"},
    "offer_refused": {"offer_id": "ofr_00000001"},
    "contact_opened": {"case_id": "cas_00000001", "topic": "delivery.late"},
    "contact_answered": {"case_id": "cas_00000001", "waited": "90s"},
    "contact_closed": {"case_id": "cas_00000001", "resolved": True},
    "feedback_given": {"kind": "FEEDBACK_KIND_RECOMMENDATION", "score": 9, "lowest": 0, "highest": 10},
    "subscription_changed": {
        "subscription_id": "sub_00000001",
        "change": "SUBSCRIPTION_CHANGE_RENEWED",
        "plan": ITEM,
        "price": EUROS,
        "term_days": 30,
    },
}


def example(name: str) -> Message:
    kind = GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))
    return json_format.ParseDict(EXAMPLES[name], kind())


def touchpoint(**given: Any) -> touchpoint_pb2.Touchpoint:
    base = EXAMPLES["rapport.identity.v1.TouchpointRecorded"]["touchpoint"]
    fields = {name: value for name, value in base.items() if name not in TOUCHPOINTS} | given
    return json_format.ParseDict(fields, touchpoint_pb2.Touchpoint())


def test_there_is_an_example_of_every_event_outside_consent(events: dict[Descriptor, Any]) -> None:
    names = {message.full_name for message in events}
    assert {name for name in names if not name.startswith("rapport.consent.")} == set(EXAMPLES)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_good_event_passes(name: str) -> None:
    assert faults(example(name)) == set()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_empty_event_is_refused(name: str) -> None:
    assert faults(type(example(name))())


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_event_is_refused_where_an_id_loses_its_prefix(name: str) -> None:
    message = example(name)
    ids = [field for field, _ in message.ListFields() if field.name.endswith("_id") and field.name != "source_event_id"]
    for field in ids:
        spoiled = example(name)
        setattr(spoiled, field.name, "someone@example.org")
        assert field.name in faults(spoiled)
    assert ids or "fact" in message.DESCRIPTOR.fields_by_name or "offer" in message.DESCRIPTOR.fields_by_name


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_event_without_its_time_is_refused(name: str) -> None:
    message = example(name)
    times = {"recorded_at", "completed_at"} & {field.name for field, _ in message.ListFields()}
    assert times
    for field in times:
        message.ClearField(field)
        assert field in faults(message)


def test_the_vocabulary_is_the_one_that_has_examples() -> None:
    (types,) = touchpoint_pb2.Touchpoint.DESCRIPTOR.oneofs
    assert {field.name for field in types.fields} == set(TOUCHPOINTS)


@pytest.mark.parametrize("name", sorted(TOUCHPOINTS))
def test_a_good_touchpoint_of_each_type_passes(name: str) -> None:
    assert faults(touchpoint(**{name: TOUCHPOINTS[name]})) == set()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"channel": "CHANNEL_UNSPECIFIED"}, "channel"),
        ({"purpose_ids": []}, "purpose_ids"),
        ({"purpose_ids": ["a.b", "a.b"]}, "purpose_ids"),
        ({"decision_ids": ["dec_00000001"] * 2}, "decision_ids"),
        ({"brand_id": "The North Face, Inc."}, "brand_id"),
        ({"market": "Germany"}, "market"),
        ({"session_id": "203.0.113.7"}, "session_id"),
        ({"attributes": [{"key": "colour", "data_category": "taste"}]}, "attributes.value"),
        ({"attributes": [{"key": "colour", "data_category": "taste", "code": "call me at 5"}]}, "attributes.code"),
        ({"order_placed": TOUCHPOINTS["order_placed"] | {"lines": []}}, "order_placed.lines"),
        ({"order_placed": TOUCHPOINTS["order_placed"] | {"total": EUROS | {"units": -1}}}, "order_placed.total"),
        ({"order_placed": TOUCHPOINTS["order_placed"] | {"total": {"units": 1}}}, "order_placed.total"),
        ({"order_placed": {"order_id": "ord_00000001", "lines": [LINE]}}, "order_placed.total"),
        ({"cart_changed": {"cart_id": "crt_00000001", "change": 77}}, "cart_changed.change"),
        ({"viewed": {"dwell": "-1s"}}, "viewed.dwell"),
        ({"feedback_given": TOUCHPOINTS["feedback_given"] | {"score": 11}}, "feedback_given"),
        ({"feedback_given": TOUCHPOINTS["feedback_given"] | {"highest": 0}}, "feedback_given"),
    ],
)
def test_a_touchpoint_outside_the_vocabulary_is_refused_by_field(given: dict[str, Any], fault: str) -> None:
    assert faults(touchpoint(**given)) == {fault}


def test_a_reader_takes_channels_and_types_of_a_later_release() -> None:
    later = touchpoint(channel=99, viewed={})
    later.ClearField("viewed")
    assert faults(later) == set()


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("identity.v1.ProfilesMerged", {"survivor_id": "prf_00000002"}, "merge.survivor"),
        ("identity.v1.ProfilesMerged", {"profiles": []}, "profiles"),
        ("identity.v1.ProfileSplit", {"left_profile_id": "prf_00000009"}, "split.left"),
        ("churn.v1.ScoreUpdated", {"rank": 1.01}, "rank"),
        ("churn.v1.ScoreUpdated", {"reasons": [{"code": "x", "contribution": "NaN"}]}, "reasons.contribution"),
        ("churn.v1.RiskRaised", {"churn": []}, "churn"),
        ("pricing.v1.PriceChanged", {"gross": EUROS | {"currency_code": "eur"}}, "gross"),
        ("pricing.v1.StockChanged", {"version": 0}, "version"),
        ("pricing.v1.QuoteRedeemed", {"prices": []}, "prices"),
        ("notification.v1.NotificationSent", {"attempt": 0}, "attempt"),
        ("notification.v1.NotificationFailed", {"status_code": "mailbox of Ann is full"}, "status_code"),
    ],
)
def test_an_event_that_contradicts_itself_is_refused(name: str, change: dict[str, Any], fault: str) -> None:
    message = example(f"rapport.{name}")
    for field in change:
        message.ClearField(field)
    json_format.ParseDict(change, message)
    assert faults(message) == {fault}


@pytest.mark.parametrize(
    ("recipient", "owner", "fault"),
    [
        ("prf_00000001", "prf_00000001", set()),
        ("req_00000001", None, set()),
        ("prf_00000001", "prf_00000002", {"fact.owner"}),
        ("prf_00000001", None, {"fact.owner"}),
        ("req_00000001", "prf_00000001", {"fact.owner"}),
    ],
)
def test_a_message_belongs_to_its_recipient_and_one_to_a_privacy_request_to_nobody(
    recipient: str, owner: str | None, fault: set[str]
) -> None:
    message = example("rapport.notification.v1.NotificationSent")
    assert isinstance(message, notification_pb2.NotificationSent)
    message.notification.recipient_id = recipient
    message.ClearField("fact")
    if owner:
        message.fact.fact_id, message.fact.profile_id = "f1", owner
    assert faults(message) == fault
