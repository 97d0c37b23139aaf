"""Requests of notification as callers send them, and what its contracts may not hold."""

from __future__ import annotations

from typing import Any

import pytest
from contract_words import faults, methods, parsed, reachable
from google.protobuf.message import Message
from rapport.common.v1 import access_pb2
from rapport.notification.v1 import feedback_pb2, notification_pb2, preference_pb2, template_pb2, trigger_pb2

FILES = [module.DESCRIPTOR for module in (notification_pb2, template_pb2, trigger_pb2, preference_pb2, feedback_pb2)]
REQUEST_ID = "3f0c1a52-6f3e-4a33-9d42-0a8f6f1a1b01"
PROFILE = "prf_00000001"
# The design's table, and what the implementation added to it.
METHODS = {
    "NotificationService": "SendNotification BatchSendNotifications CancelNotification GetNotification"
    " ListNotifications ExplainNotification StreamInbox",
    "TemplateService": "UpsertTemplate ListTemplates PreviewTemplate",
    "TriggerService": "UpsertTrigger ListTriggers ActivateTrigger PauseTrigger SimulateTrigger",
    "PreferenceService": "GetPreferences SetPreferences",
}
FOR_HUMANS = {
    "ActivateTemplate",
    "RetireTemplate",
    "ActivateTrigger",
    "PauseTrigger",
    "ActivateRule",
    "RetireRule",
    "LiftSuppression",
    "ListTextReviews",
    "DecideTextReview",
}
MESSAGE: dict[str, Any] = {
    "request_id": REQUEST_ID,
    "recipient_id": PROFILE,
    "template_id": "price_drop",
    "class": "MESSAGE_CLASS_MARKETING",
    "category": "offers",
    "purpose_id": "direct_marketing.email",
    "variables": {
        "price": {"money": {"currency_code": "EUR", "units": 12, "nanos": 500000000}},
        "products": {"rows": {"rows": [{"values": {"title": {"text": "Lamp"}}}]}},
    },
}
CLOSING = MESSAGE | {"recipient_id": "req_00000001", "class": "MESSAGE_CLASS_LEGAL", "purpose_id": ""}
TRIGGER: dict[str, Any] = {
    "event": "offer_created",
    "audience": "TRIGGER_AUDIENCE_PERSON",
    "class": "MESSAGE_CLASS_MARKETING",
    "category": "offers",
    "purpose_id": "direct_marketing.email",
    "template_id": "retention_offer",
    "supersede_key": "offer:{offer_id}",
}


def test_every_method_of_the_design_is_there() -> None:
    stated = {(one.containing_service.name, one.name) for one in methods(FILES)}
    assert {(service, name) for service, listed in METHODS.items() for name in listed.split()} <= stated


def test_what_decides_over_what_all_customers_hear_needs_a_human() -> None:
    human = {one.name for one in methods(FILES) if one.GetOptions().Extensions[access_pb2.access].human}
    assert human == FOR_HUMANS


def test_no_message_that_is_kept_or_returned_has_a_field_for_an_address() -> None:
    inside = set().union(*(reachable(one.output_type) for one in methods(FILES)))
    named = {field.full_name for message in inside for field in message.fields if "address" in field.name}
    assert named == set()


@pytest.mark.parametrize(
    ("kind", "given", "fault"),
    [
        (notification_pb2.SendNotificationRequest, MESSAGE, None),
        (notification_pb2.SendNotificationRequest, CLOSING, None),
        (notification_pb2.SendNotificationRequest, CLOSING | {"purpose_id": "contract"}, "notification.purpose"),
        (notification_pb2.SendNotificationRequest, MESSAGE | {"purpose_id": ""}, "notification.purpose"),
        (notification_pb2.SendNotificationRequest, MESSAGE | {"recipient_id": "prf_zoe@example.org"}, "recipient_id"),
        (notification_pb2.SendNotificationRequest, MESSAGE | {"request_id": "1"}, "request_id"),
        (notification_pb2.SendNotificationRequest, MESSAGE | {"variables": {"a": {}}}, "variables.value"),
        (
            notification_pb2.SendNotificationRequest,
            MESSAGE | {"not_before": "2026-01-02T00:00:00Z", "expires_at": "2026-01-01T00:00:00Z"},
            "notification.time",
        ),
        (trigger_pb2.UpsertTriggerRequest, {"terms": TRIGGER}, None),
        (trigger_pb2.UpsertTriggerRequest, {"terms": TRIGGER | {"purpose_id": ""}}, "terms"),
        (trigger_pb2.UpsertTriggerRequest, {"terms": TRIGGER | {"delay": "-1s"}}, "terms.delay"),
        (
            feedback_pb2.RegisterEndpointRequest,
            {"profile_id": PROFILE, "webhook": {"url": "http://hooks.example"}},
            "webhook.url",
        ),
        (preference_pb2.UpsertRuleRequest, {"name": "daily", "cap": {"limit": 3}}, "cap.days"),
    ],
)
def test_requests_pass_or_are_refused_by_field(kind: type[Message], given: dict[str, Any], fault: str | None) -> None:
    complete = {"request_id": REQUEST_ID, **given}
    if kind is trigger_pb2.UpsertTriggerRequest:
        complete |= {"trigger_id": "retention_offer"}
    assert faults(parsed(kind, complete)) == ({fault} if fault else set())
