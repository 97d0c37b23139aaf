"""Requests of identity as callers send them, and where personal data may come out."""

from __future__ import annotations

from typing import Any

import pytest
from contract_words import faults, methods, parsed, reachable
from google.longrunning import operations_proto_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from rapport.common.v1 import access_pb2
from rapport.identity.v1 import identity_pb2, ingest_pb2, matcher_pb2, record_pb2, registry_pb2, steward_pb2

REQUEST_ID = "3f0c1a52-6f3e-4a33-9d42-0a8f6f1a1b01"
KEY = {"source": "crm", "source_record_id": "4711"}
EMAIL = {"kind": "IDENTIFIER_KIND_EMAIL", "value": "someone@example.org"}
COOKIE = {"kind": "IDENTIFIER_KIND_COOKIE", "namespace": "webshop", "value": "9f2c"}
PERSON: dict[str, Any] = {
    "names": [{"given_names": "Ada Maria", "surname": "Example", "suffix": "Jr"}, {"full_name": "Ada Beispiel"}],
    "birth_date": {"year": 1984, "month": 5, "day": 17},
    "addresses": [
        {"street": "Am Markt", "house_number": "3", "city": "Musterstadt", "postal_code": "12345", "country": "DE"}
    ],
    "identifiers": [EMAIL, COOKIE],
}
RECORD: dict[str, Any] = {"key": KEY, "person": PERSON, "market": "DE", "time_zone": "Europe/Berlin"}
TOUCHPOINT: dict[str, Any] = {
    "source": "webshop",
    "source_event_id": "e-1",
    "identifiers": [COOKIE],
    "touchpoint": {
        "occurred_at": "2026-01-02T03:04:05Z",
        "channel": "CHANNEL_WEB",
        "purpose_ids": ["analytics"],
        "viewed": {},
    },
}
SPLIT = {"request_id": REQUEST_ID, "profile_id": "prf_00000001", "reason": "two people"}
# What may name a person, and the methods that may hand it out.
PERSONAL = {
    one.DESCRIPTOR for one in (record_pb2.PersonData, record_pb2.PersonName, record_pb2.Address, record_pb2.Identifier)
}
MAY_NAME = {"ListRecords", "GetContactPoints"}

KEYED_BY_CONTENT = {"rapport.consent.v1.TransparencyService.AddCosignature"}
"""Methods whose request is what is kept: the same bytes again change nothing."""


def record_faults(**given: Any) -> set[str]:
    return faults(parsed(record_pb2.Record, RECORD | given))


def person_faults(**given: Any) -> set[str]:
    return {fault.removeprefix("person.") for fault in record_faults(person=PERSON | given)}


def test_every_method_that_changes_something_once_can_be_repeated_safely(files: list[FileDescriptor]) -> None:
    changing = [one for one in methods(files) if one.GetOptions().idempotency_level == MethodOptions.IDEMPOTENT]
    unary = [one for one in changing if not one.client_streaming and one.full_name not in KEYED_BY_CONTENT]
    assert unary
    for method in unary:
        asked = method.input_type
        each = asked.fields_by_name["requests"].message_type if "requests" in asked.fields_by_name else asked
        assert each is not None
        assert "request_id" in each.fields_by_name, method.full_name  # those of a batch have their own


def test_a_method_without_a_stated_idempotency_level_takes_a_stream(files: list[FileDescriptor]) -> None:
    unstated = [one for one in methods(files) if not one.GetOptions().idempotency_level]
    assert all(one.client_streaming for one in unstated), [one.full_name for one in unstated]


def test_no_event_holds_a_message_that_names_a_person(events: dict[Descriptor, Any]) -> None:
    for message in events:
        assert not reachable(message) & PERSONAL, message.full_name


def test_only_two_methods_of_the_suite_hand_out_names_and_addresses(files: list[FileDescriptor]) -> None:
    assert {one.name for one in methods(files) if reachable(one.output_type) & PERSONAL} == MAY_NAME


def test_methods_that_name_people_have_permissions_of_their_own(files: list[FileDescriptor]) -> None:
    stated = [(one.name, one.GetOptions().Extensions[access_pb2.access].permission) for one in methods(files)]
    naming = {permission for name, permission in stated if name in MAY_NAME}
    others = {permission for name, permission in stated if name not in MAY_NAME}
    assert len(naming) == len(MAY_NAME)
    assert not naming & others


def test_operations_say_what_they_end_in(files: list[FileDescriptor]) -> None:
    long = [one for one in methods(files) if one.output_type.full_name == "google.longrunning.Operation"]
    assert long
    for method in long:
        options: Any = method.GetOptions()  # the type stubs do not know the extension as one of methods
        info = options.Extensions[operations_proto_pb2.operation_info]
        declared = method.containing_service.file.message_types_by_name
        assert {info.response_type, info.metadata_type} <= set(declared), method.full_name


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (identity_pb2.ResolveRecordRequest, {"request_id": REQUEST_ID, "record": RECORD}),
        (identity_pb2.ResolveRecordsRequest, {"batch": 1, "records": [RECORD] * 500}),
        (identity_pb2.SearchProfilesRequest, {"person": {"names": [{"surname": "Example"}]}}),
        (identity_pb2.LookupProfileRequest, {"identifier": EMAIL}),
        (ingest_pb2.IngestTouchpointRequest, {"request_id": REQUEST_ID, "touchpoint": TOUCHPOINT}),
        (ingest_pb2.IngestTouchpointsRequest, {"batch": 1, "touchpoints": [TOUCHPOINT] * 500}),
        (steward_pb2.SplitProfileRequest, SPLIT | {"leaving": [{"records": [KEY]}]}),
        (matcher_pb2.ImportMatcherRequest, {"header": {"request_id": REQUEST_ID, "splink_model": "e30="}}),
    ],
)
def test_a_good_request_passes(kind: type[Message], given: dict[str, Any]) -> None:
    assert faults(parsed(kind, given)) == set()


def test_a_record_may_say_nothing_of_its_person() -> None:
    assert record_faults(person={}) == set()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"key": {"source": "crm"}}, "key.source_record_id"),
        ({"key": {"source": "The CRM", "source_record_id": "1"}}, "key.source"),
        ({"key": {"source": "crm", "source_record_id": "47\n11"}}, "key.source_record_id"),
        ({"key": {"source": "crm", "source_record_id": "9" * 201}}, "key.source_record_id"),
        ({"market": "Germany"}, "market"),
        ({"locale": "German"}, "locale"),
        ({"time_zone": "in the east"}, "time_zone"),
        ({"customer_since": {"year": 2020, "month": 5}}, "customer_since"),
    ],
)
def test_a_malformed_record_is_refused_by_field(given: dict[str, Any], fault: str) -> None:
    assert record_faults(**given) == {fault}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"names": [{"suffix": "Jr"}]}, "names"),
        ({"names": [{"surname": "Exam\x00ple"}]}, "names.surname"),
        ({"names": [{"surname": "x" * 201}]}, "names.surname"),
        ({"names": [{"surname": "x"}] * 11}, "names"),
        ({"birth_date": {"year": 1984, "month": 13}}, "birth_date"),
        ({"birth_date": {"year": 1984, "day": 17}}, "birth_date"),
        ({"birth_date": {}}, "birth_date"),
        ({"addresses": [{"country": "Germany"}]}, "addresses.country"),
        ({"identifiers": [EMAIL | {"value": ""}]}, "identifiers.value"),
        ({"identifiers": [EMAIL | {"value": "a" * 321}]}, "identifiers.value"),
        ({"identifiers": [EMAIL | {"value": "a\x7fb"}]}, "identifiers.value"),
        ({"identifiers": [EMAIL | {"namespace": "webshop"}]}, "identifiers"),
        ({"identifiers": [COOKIE | {"namespace": ""}]}, "identifiers"),
        ({"identifiers": [EMAIL | {"kind": 0}]}, "identifiers.kind"),
        ({"identifiers": [EMAIL] * 51}, "identifiers"),
    ],
)
def test_a_malformed_person_is_refused_by_field(given: dict[str, Any], fault: str) -> None:
    assert fault in person_faults(**given)


@pytest.mark.parametrize("birth_date", [{"year": 1984}, {"month": 2, "day": 29}, {"year": 1984, "month": 5}])
def test_a_birth_date_may_be_known_in_part(birth_date: dict[str, int]) -> None:
    assert person_faults(birth_date=birth_date) == set()


def test_names_of_every_script_pass() -> None:
    assert person_faults(names=[{"full_name": "Søren O'Neill-Žižek"}, {"full_name": "山田 太郎"}]) == set()


def test_one_malformed_entry_does_not_stop_the_batch_it_comes_in() -> None:
    records = parsed(identity_pb2.ResolveRecordsRequest, {"records": [RECORD, {}]})
    touchpoints = parsed(ingest_pb2.IngestTouchpointsRequest, {"touchpoints": [TOUCHPOINT, {}]})
    assert faults(records) == faults(touchpoints) == set()
    assert faults(records.records[1])
    assert faults(touchpoints.touchpoints[1])


@pytest.mark.parametrize("entries", [0, 501])
def test_a_batch_is_neither_empty_nor_unbounded(entries: int) -> None:
    assert faults(parsed(identity_pb2.ResolveRecordsRequest, {"records": [RECORD] * entries})) == {"batch.size"}
    assert faults(parsed(ingest_pb2.IngestTouchpointsRequest, {"touchpoints": [TOUCHPOINT] * entries})) == {
        "batch.size"
    }


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"identifiers": []}, "identifiers"),
        ({"source_event_id": ""}, "source_event_id"),
        ({"touchpoint": TOUCHPOINT["touchpoint"] | {"purpose_ids": []}}, "touchpoint.purpose_ids"),
    ],
)
def test_a_raw_touchpoint_is_refused_by_field(given: dict[str, Any], fault: str) -> None:
    assert faults(parsed(ingest_pb2.RawTouchpoint, TOUCHPOINT | given)) == {fault}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"leaving": []}, "leaving"),
        ({"leaving": [{}]}, "leaving.records"),
        ({"leaving": [{"records": [KEY]}], "reason": ""}, "reason"),
        ({"leaving": [{"records": [KEY]}], "request_id": "1"}, "request_id"),
    ],
)
def test_a_split_is_refused_by_field(given: dict[str, Any], fault: str) -> None:
    assert faults(parsed(steward_pb2.SplitProfileRequest, SPLIT | given)) == {fault}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "terms"),
        ({"source": {}}, "source.purpose_id"),
        ({"touchpoint_type": {}}, "touchpoint_type.purpose_ids"),
        ({"attribute": {"type": "ATTRIBUTE_TYPE_CODE", "data_category": "taste"}}, "attribute"),
        ({"attribute": {"type": "ATTRIBUTE_TYPE_FLAG", "data_category": "taste", "codes": ["a"]}}, "attribute"),
    ],
)
def test_a_declaration_that_declares_nothing_is_refused(given: dict[str, Any], fault: str) -> None:
    assert faults(parsed(registry_pb2.DeclarationTerms, given)) == {fault}
