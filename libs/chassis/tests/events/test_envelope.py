"""The envelope: what a reader needs, nothing that names a person, nothing that was not checked."""

import hashlib
import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport.common.v1 import privacy_pb2
from rapport.consent.v1 import consent_pb2, events_pb2
from rapport.identity.v1 import events_pb2 as identity
from rapport_chassis.errors import RapportError
from rapport_chassis.events.contract import describe, event_class
from rapport_chassis.events.envelope import MAX_PAYLOAD_BYTES, Received, event_of
from rapport_testing.events import OCCURRED_AT, fence_raised, granted, profiles_merged

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
PROFILE = "prf_" + "p" * 22


def received(event, **changes):
    arguments = {
        "subject": event.subject,
        "headers": event.headers(),
        "data": event.payload(),
        "stream": "RAPPORT_CONSENT",
        "sequence": 7,
    }
    return Received.of(**{**arguments, **changes})


def test_subject_is_context_version_event_and_the_partition_of_the_key():
    partition = hashlib.sha256(PROFILE.encode()).digest()[0] % 16
    assert granted(PROFILE).subject == f"rapport.consent.v1.consent_granted.{partition:02d}"


@given(st.text(alphabet="abcXYZ0189", min_size=8, max_size=22))
def test_no_profile_id_is_in_subject_or_headers(letters):
    profile = f"prf_{letters}"
    event = granted(profile)
    assert re.fullmatch(r"rapport\.consent\.v1\.consent_granted\.(0[0-9]|1[0-5])", event.subject)
    assert profile not in event.subject + repr(event.headers(TRACE))


def test_headers_are_those_of_cloudevents_with_the_event_id_as_message_id():
    event = granted()
    assert event.headers(TRACE) == {
        "ce-specversion": "1.0",
        "ce-id": event.id,
        "ce-type": "rapport.consent.v1.consent_granted",
        "ce-source": "rapport/consent",
        "ce-time": "2030-01-01T12:00:00.000000Z",
        "ce-dataschema": "proto:rapport.consent.v1.ConsentGranted",
        "Nats-Msg-Id": event.id,
        "traceparent": TRACE,
    }


def test_the_time_of_another_zone_is_written_in_utc():
    there = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    event = event_of(granted().message, source="consent", occurred_at=there)
    assert event.headers()["ce-time"] == "2030-01-01T10:00:00.000000Z"


def test_profiles_are_read_through_repeated_messages_and_named_once():
    event = profiles_merged("prf_survivor1", "prf_absorbed1", "prf_absorbed2")
    assert event.profile_ids == ("prf_survivor1", "prf_absorbed1", "prf_absorbed2")
    assert event.key == "prf_survivor1"


def test_an_event_that_outlives_the_person_concerns_nobody():
    assert fence_raised(PROFILE).profile_ids == ()


def test_an_event_of_all_participants_is_published_by_the_context_that_is_named():
    message = privacy_pb2.PrivacyTaskCompleted(request_id="req_12345678")
    assert event_of(message, source="churn", occurred_at=OCCURRED_AT).type == "rapport.churn.v1.privacy_task_completed"


@pytest.mark.parametrize(
    ("message", "arguments", "error"),
    [
        (consent_pb2.CheckConsentRequest(), {}, TypeError),
        (granted().message, {"source": "identity"}, ValueError),
        (granted().message, {"source": "con.sent"}, ValueError),
        (events_pb2.ConsentGranted(), {}, ValueError),
        (granted().message, {"occurred_at": datetime(2030, 1, 1)}, ValueError),  # noqa: DTZ001 - naive on purpose
        (granted().message, {"event_id": "evt_1\r\nNats-Rollup: all"}, ValueError),
    ],
)
def test_what_could_not_be_published_is_refused_at_once(message, arguments, error):
    with pytest.raises(error):
        event_of(message, **{"source": "consent", "occurred_at": OCCURRED_AT, **arguments})


@pytest.mark.parametrize("value", ["", "x", TRACE + "\r\n", TRACE.upper(), TRACE + " "])
def test_a_malformed_trace_context_is_not_put_into_a_header(value):
    with pytest.raises(ValueError, match="trace"):
        granted().headers(value)


def test_a_payload_above_the_limit_is_refused_with_a_reason():
    event = granted()
    event.message.purpose_id = "x" * MAX_PAYLOAD_BYTES  # type: ignore[attr-defined]
    with pytest.raises(RapportError) as refused:
        event.payload()
    assert refused.value.reason.name == "EVENT_TOO_LARGE"


def test_a_reader_gets_back_what_was_published():
    event = granted(PROFILE)
    found = received(event, headers=event.headers(TRACE), delivered=3)
    assert (found.id, found.name, found.context, found.delivered) == (event.id, "consent_granted", "consent", 3)
    assert found.time == OCCURRED_AT
    assert found.traceparent == TRACE
    assert found.parse(events_pb2.ConsentGranted) == event.message


@pytest.mark.parametrize(
    "change",
    [
        {"ce-id": ""},
        {"ce-id": "a b"},
        {"ce-type": "rapport.consent.v1.consent_withdrawn"},
        {"ce-source": "rapport/identity"},
        {"ce-time": "yesterday"},
        {"ce-time": "2030-01-01T12:00:00"},
        {"ce-specversion": "0.3"},
    ],
)
def test_an_envelope_that_contradicts_its_subject_is_refused(change):
    event = granted()
    with pytest.raises(RapportError) as refused:
        received(event, headers={**event.headers(), **change})
    assert refused.value.reason.name == "EVENT_MALFORMED"
    assert [each.path for each in refused.value.fields] == list(change)


@pytest.mark.parametrize("subject", ["rapport.consent.v1.consent_granted", "rapport.dlq.consent.x", "other.a.v1.b.01"])
def test_a_message_outside_the_contexts_is_refused(subject):
    with pytest.raises(RapportError):
        received(granted(), subject=subject)


def test_bytes_that_are_no_message_and_messages_that_break_a_rule_are_told_apart():
    event = granted()
    with pytest.raises(RapportError) as malformed:
        received(event, data=b"\xff\xff").parse(events_pb2.ConsentGranted)
    event.message.change.epoch = ""  # type: ignore[attr-defined]
    with pytest.raises(RapportError) as invalid:
        received(event).parse(events_pb2.ConsentGranted)
    assert (malformed.value.reason.name, invalid.value.reason.name) == ("EVENT_MALFORMED", "EVENT_INVALID")
    assert [(each.path, each.description) for each in invalid.value.fields] == [("change.epoch", "string.min_len")]


def test_parsing_as_another_event_is_refused():
    with pytest.raises(RapportError) as refused:
        received(granted()).parse(events_pb2.ConsentWithdrawn)
    assert refused.value.reason.name == "EVENT_MALFORMED"


def test_the_class_of_an_event_is_found_by_its_schema_and_nothing_else_is():
    assert event_class("rapport.pricing.v1.PriceChanged") is not None
    assert event_class("rapport.identity.v1.ProfilesMerged") is identity.ProfilesMerged
    assert event_class("rapport.consent.v1.CheckConsentRequest") is None
    assert event_class("google.protobuf.Timestamp") is None
    assert event_class("rapport.nowhere.v1.Thing") is None
    assert describe(privacy_pb2.PrivacyTaskCompleted).context is None
