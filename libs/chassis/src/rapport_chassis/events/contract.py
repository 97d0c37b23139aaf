"""What the contract of an event message says: name, key, profiles, and rules to hold it against."""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

import protovalidate
from google.protobuf import symbol_database
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from rapport.common.v1 import event_pb2

from rapport_chassis.errors import FieldViolation
from rapport_chassis.events.errors import EVENT_ERRORS

_PACKAGE: Final = re.compile(r"rapport\.(?P<context>[a-z]+)\.(?P<version>v[0-9]+)")
_SHARED_CONTEXT: Final = "common"

_Path = Callable[[Message], tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class EventDescription:
    """What a contract says of an event message, ready for use.

    Attributes:
        name: The event's name, in the past participle.
        context: The context it belongs to; None if every context may publish it.
        version: Major version of its contract, for example "v1".
        schema: Full name of the message.
        key: Reads the value that chooses the partition.
        profiles: Reads the ids of the profiles concerned.
    """

    name: str
    context: str | None
    version: str
    schema: str
    key: Callable[[Message], str]
    profiles: Callable[[Message], tuple[str, ...]]


def describe(message_class: type[Message]) -> EventDescription:
    """Return what the contract says of this event message.

    Raises:
        TypeError: The message is not an event: its contract has no event option.
    """
    return _describe(message_class.DESCRIPTOR)


@functools.cache
def _describe(descriptor: Descriptor) -> EventDescription:
    options = descriptor.GetOptions()
    package = _PACKAGE.fullmatch(descriptor.file.package)
    if package is None or not options.HasExtension(event_pb2.event):
        raise TypeError(f"{descriptor.full_name} is not an event")
    event = options.Extensions[event_pb2.event]
    key = _path(event.key, descriptor)
    profiles = [_path(path, descriptor) for path in event.profiles]

    def read_key(message: Message) -> str:
        values = key(message)
        if len(values) != 1 or not values[0]:
            raise ValueError(f"{descriptor.full_name}.{event.key} is empty: an event needs its key")
        return values[0]

    def read_profiles(message: Message) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value for read in profiles for value in read(message) if value))

    return EventDescription(
        name=event.name,
        context=None if package["context"] == _SHARED_CONTEXT else package["context"],
        version=package["version"],
        schema=descriptor.full_name,
        key=read_key,
        profiles=read_profiles,
    )


def event_class(schema: str) -> type[Message] | None:
    """Return the class of an event message by its full name, or None if there is no such contract here."""
    package, _, _ = schema.rpartition(".")
    if not _PACKAGE.fullmatch(package):
        return None
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(f"{package}.events_pb2")
    try:
        found: type[Message] = symbol_database.Default().GetSymbol(schema)
        describe(found)
    except (KeyError, TypeError):
        return None
    return found


def _path(path: str, descriptor: Descriptor | None) -> _Path:
    """Return a reader of all strings at a path such as "profiles.redirect_ids"; it passes through repeated fields."""
    assert descriptor is not None
    name, _, rest = path.partition(".")
    field = descriptor.fields_by_name[name]
    deeper = _path(rest, field.message_type) if rest else None
    read_value = attrgetter(name)
    if not _repeats(path, descriptor):
        read_whole = attrgetter(path)
        return lambda message: (read_whole(message),)
    if not field.is_repeated:
        assert deeper is not None
        return lambda message: deeper(read_value(message))
    if deeper is None:
        return lambda message: tuple(read_value(message))
    return lambda message: tuple(found for each in read_value(message) for found in deeper(each))


def _repeats(path: str, descriptor: Descriptor | None) -> bool:
    """Whether there may be several values at a path."""
    for name in path.split("."):
        assert descriptor is not None
        field = descriptor.fields_by_name[name]
        if field.is_repeated:
            return True
        descriptor = field.message_type
    return False


def validate(message: Message) -> None:
    """Hold a message against the rules of its contract.

    Raises:
        RapportError: EVENT_INVALID, with the paths and rules at fault, never the values.
    """
    try:
        protovalidate.validate(message)
    except protovalidate.ValidationError as error:
        raise EVENT_ERRORS.error(
            "EVENT_INVALID", f"{type(message).DESCRIPTOR.full_name} breaks a rule", fields=_violations(error.violations)
        ) from None


def _violations(violations: Iterable[protovalidate.Violation]) -> list[FieldViolation]:
    return [
        FieldViolation(
            ".".join(each.field_name for each in one.proto.field.elements) if one.proto.field else "", one.proto.rule_id
        )
        for one in violations
    ]
