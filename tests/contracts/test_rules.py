"""What every contract has in common: options, events, permissions, rules that compile."""

from __future__ import annotations

import re
from collections.abc import Iterator

from buf.validate import validate_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, ServiceDescriptor
from protovalidate import Validator
from rapport.common.v1 import access_pb2, event_pb2

Events = dict[Descriptor, event_pb2.EventType]

# The table of events that the design fixes: context, then the events it publishes.
EVENTS = {
    "common": "privacy_task_completed",
    "identity": """profile_created profile_updated profiles_merged profile_split profile_erased anniversary_due
        touchpoint_recorded""",
    "consent": """consent_granted consent_withdrawn objection_recorded restriction_placed restriction_lifted
        consents_merged consents_split fence_raised purpose_changed privacy_task_requested privacy_request_closed""",
    "churn": "score_updated risk_raised risk_cleared model_promoted",
    "pricing": "price_changed stock_changed offer_created offer_expired quote_redeemed",
    "notification": """notification_accepted notification_held notification_sent notification_delivered
        notification_failed notification_dropped notification_engaged contact_unsubscribed""",
}
FACTS = {
    *("privacy_task_completed", "touchpoint_recorded", "privacy_task_requested", "privacy_request_closed"),
    *("quote_redeemed", *EVENTS["notification"].split()),
}
# Words that, in the name of a field, speak of a person in clear or of free text.
TELLTALE = re.compile(
    "address|birth|birthday|birthdate|born|city|comment|contact|dob|email|fullname|gender|iban|ip|latitude|longitude"
    "|mail|msisdn|name|note|phone|postcode|search|sex|street|surname|text|title|user|zip"
)
# Events that stay in the stream when a person is erased.
KEPT = ("privacy_", "fence_raised", "consents_", "profile_erased")
# A rule of the message holds it equal to fact.profile_id.
SAME_AS_OWNER = "notification.recipient_id"


def reachable(message: Descriptor) -> set[Descriptor]:
    """A message and all messages of the contracts in it."""
    found: set[Descriptor] = set()
    waiting = [message]
    while waiting:
        current = waiting.pop()
        if current not in found and current.file.package.startswith("rapport."):
            found.add(current)
            waiting += [field.message_type for field in current.fields if field.message_type]
    return found


def resolve(message: Descriptor, path: str) -> list[FieldDescriptor]:
    """The fields on a dotted path; KeyError where it ends nowhere."""
    name, _, rest = path.partition(".")
    field = message.fields_by_name[name]
    if not rest:
        return [field]
    assert field.message_type, field.full_name
    return [field, *resolve(field.message_type, rest)]


def context(declared: Descriptor | ServiceDescriptor) -> str:
    return declared.file.package.split(".")[1]


def test_events_are_those_of_the_table(events: Events) -> None:
    stated = {(context(message), event.name) for message, event in events.items()}
    assert stated == {(name, event) for name, listed in EVENTS.items() for event in listed.split()}
    assert len(events) == len(stated)


def test_an_event_is_called_like_its_message(events: Events) -> None:
    for message, event in events.items():
        assert re.sub(r"(?<!^)(?=[A-Z])", "_", message.name).lower() == event.name


def test_state_and_fact_events_are_those_of_the_design(events: Events) -> None:
    for event in events.values():
        expected = event_pb2.EVENT_KIND_FACT if event.name in FACTS else event_pb2.EVENT_KIND_STATE
        assert event.kind == expected, event.name


def test_keys_lead_to_one_string_and_profile_paths_to_strings(events: Events) -> None:
    for message, event in events.items():
        *way, key = resolve(message, event.key)
        assert key.type == FieldDescriptor.TYPE_STRING, message.full_name
        assert not any(field.is_repeated for field in [*way, key]), message.full_name
        for path in event.profiles:
            assert resolve(message, path)[-1].type == FieldDescriptor.TYPE_STRING, message.full_name


def test_state_events_carry_a_version_or_a_position(events: Events) -> None:
    for message, event in events.items():
        if event.kind == event_pb2.EVENT_KIND_STATE:
            versions = {
                field.full_name
                for inner in reachable(message)
                for field in inner.fields
                if field.name in {"version", "position"} and field.type == FieldDescriptor.TYPE_UINT64
            }
            assert versions, message.full_name


def test_facts_about_a_profile_open_with_their_owner(events: Events) -> None:
    for message, event in events.items():
        if event.kind == event_pb2.EVENT_KIND_FACT and not event.name.startswith("privacy_"):
            first = message.fields_by_number[1]
            assert first.name == "fact"
            assert first.message_type is event_pb2.Fact.DESCRIPTOR
            assert "fact.profile_id" in event.profiles


def profile_paths(message: Descriptor, way: tuple[str, ...] = ()) -> Iterator[str]:
    """Paths of the fields that hold a profile id, known by their pattern."""
    for field in message.fields:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        if "prf" in rules.string.pattern or "prf" in rules.repeated.items.string.pattern:
            yield ".".join((*way, field.name))
        elif field.message_type and field.message_type.file.package.startswith("rapport."):
            yield from profile_paths(field.message_type, (*way, field.name))


def test_every_profile_id_of_an_event_is_found_when_its_profile_is_erased(events: Events) -> None:
    for message, event in events.items():
        if event.name.startswith(KEPT):
            assert not event.profiles, message.full_name
        else:
            assert set(profile_paths(message)) - {SAME_AS_OWNER} <= set(event.profiles), message.full_name


def test_positioned_events_begin_with_the_same_field(events: Events) -> None:
    opening = descriptor_pool.Default().FindMessageTypeByName("rapport.consent.v1.PositionedEvent").fields_by_number[1]
    for message, event in events.items():
        if context(message) == "consent" and not event.name.startswith("privacy_"):
            first = message.fields_by_number[1]
            assert (first.name, first.message_type) == (opening.name, opening.message_type)


def test_no_event_has_a_field_that_could_name_a_person_or_hold_free_text(events: Events) -> None:
    for message in events:
        inside = reachable(message)
        for inner in inside:
            for field in inner.fields:
                if field.message_type not in inside:
                    assert not any(map(TELLTALE.fullmatch, field.name.split("_"))), field.full_name


SHARED = {"common": "privacy"}
"""What several contexts serve is no context's own: the permissions are named after what it is about."""


def test_every_method_says_who_may_call_it(files: list[FileDescriptor]) -> None:
    methods = [method for file in files for service in file.services_by_name.values() for method in service.methods]
    assert methods
    for method in methods:
        access = method.GetOptions().Extensions[access_pb2.access]
        assert re.fullmatch(r"[a-z]+\.[a-z_]+\.[a-z_]+", access.permission), method.full_name
        served_by = context(method.containing_service)
        assert access.permission.split(".")[0] == SHARED.get(served_by, served_by), method.full_name


def test_every_file_says_what_it_is_called_in_other_languages(files: list[FileDescriptor]) -> None:
    for file in files:
        options, (_, name, version) = file.GetOptions(), file.package.split(".")
        assert options.java_multiple_files
        assert options.java_package == f"com.{file.package}"
        assert options.go_package == f"rapport/{name}/{version};{name}{version}"
        assert options.csharp_namespace == f"Rapport.{name.capitalize()}.{version.upper()}"


def test_enums_begin_with_unspecified(files: list[FileDescriptor]) -> None:
    for file in files:
        for enum in file.enum_types_by_name.values():
            assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")


def test_rules_of_every_message_compile(messages: list[Descriptor]) -> None:
    validator = Validator()
    for message in messages:
        validator.collect_violations(message_factory.GetMessageClass(message)())
