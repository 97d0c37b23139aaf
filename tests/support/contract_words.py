"""Requests and events as their readers judge them, and what a contract holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from protovalidate import Validator

M = TypeVar("M", bound=Message)

_VALIDATOR: Final = Validator()


def parsed(kind: type[M], given: dict[str, Any]) -> M:
    """A message as a caller that speaks JSON sends it."""
    return json_format.Parse(json.dumps(given), kind())


def faults(message: Message) -> set[str]:
    """Paths of the fields at fault, and ids of the rules of messages."""
    found = [violation.proto for violation in _VALIDATOR.collect_violations(message)]
    return {".".join(part.field_name for part in one.field.elements) if one.field else one.rule_id for one in found}


def methods(files: Iterable[FileDescriptor]) -> Iterator[MethodDescriptor]:
    """The methods of all services in these files."""
    for file in files:
        for service in file.services_by_name.values():
            yield from service.methods


def reachable(message: Descriptor) -> set[Descriptor]:
    """A message, and all messages in it."""
    found: set[Descriptor] = set()
    waiting = [message]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += [field.message_type for field in current.fields if field.message_type]
    return found
