"""The envelope of an event: subject, partition, CloudEvents headers, and what a reader gets of them.

Nothing here names a person: the payload alone may hold a profile id.
"""

from __future__ import annotations

import builtins
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message

from rapport_chassis.errors import FieldViolation
from rapport_chassis.events.contract import EventDescription, describe, validate
from rapport_chassis.events.errors import EVENT_ERRORS
from rapport_chassis.ids import new_id, partition

MAX_PAYLOAD_BYTES: Final = 900 * 1024
"""Largest payload that is taken into the outbox and published; the broker's own limit is 1 MiB, headers included."""

EVENT_ID: Final = "ce-id"
MESSAGE_ID: Final = "Nats-Msg-Id"
TRACEPARENT: Final = "traceparent"

_SUBJECT: Final = re.compile(
    r"rapport\.(?P<context>[a-z]+)\.(?P<version>v[0-9]+)\.(?P<name>[a-z][a-z0-9_]*)\.(?P<partition>[0-9]{2})"
)
_CONTEXT: Final = re.compile(r"[a-z]+")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

M = TypeVar("M", bound=Message)
MessageClass: TypeAlias = builtins.type[M]


class Event(NamedTuple):
    """Something that happened, ready for the outbox.

    Attributes:
        id: Identity of the event, also the broker's message id.
        type: The CloudEvents type, for example "rapport.consent.v1.consent_granted".
        message: The payload.
        key: Chooses the partition: one key's events stay together.
        profile_ids: Profiles concerned; erasing one of them deletes the event from the stream.
        source: The context that publishes it.
        occurred_at: When it happened, in the world.
        urgent: Whether it is a negative (a withdrawal, an objection, a fence), which the relay lets pass others.
    """

    id: str
    type: str
    message: Message
    key: str
    profile_ids: tuple[str, ...]
    source: str
    occurred_at: datetime
    urgent: bool = False

    @property
    def subject(self) -> str:
        """Where it is published: the type and the partition."""
        return f"{self.type}.{partition(self.key):02d}"

    def headers(self, traceparent: str | None = None) -> dict[str, str]:
        """Return the CloudEvents headers (binary mode), the broker's message id and the trace it was written in.

        Raises:
            ValueError: The trace context is malformed.
        """
        return headers_of(self.id, self.type, self.own_headers(traceparent))

    def own_headers(self, traceparent: str | None = None) -> dict[str, str]:
        """Return those of the headers that do not follow from id and type: see `headers_of`.

        Raises:
            ValueError: The trace context is malformed.
        """
        time = self.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
        headers = {
            "ce-time": f"{time.removesuffix('+00:00')}Z",
            "ce-dataschema": f"proto:{self.message.DESCRIPTOR.full_name}",
        }
        if traceparent is not None:
            if not _TRACEPARENT.fullmatch(traceparent):
                raise ValueError("malformed trace context")
            headers[TRACEPARENT] = traceparent
        return headers

    def payload(self) -> bytes:
        """Return the payload's bytes.

        Raises:
            RapportError: EVENT_TOO_LARGE.
        """
        payload = self.message.SerializeToString()
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise EVENT_ERRORS.error(
                "EVENT_TOO_LARGE",
                f"{self.type} has {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}",
                metadata={"type": self.type, "bytes": str(len(payload)), "limit": str(MAX_PAYLOAD_BYTES)},
            )
        return payload


def headers_of(event_id: str, event_type: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return all headers of an event, from its id, its type and those of its own."""
    return {
        "ce-specversion": "1.0",
        EVENT_ID: event_id,
        "ce-type": event_type,
        "ce-source": f"rapport/{event_type.split('.', 2)[1]}",
        MESSAGE_ID: event_id,
        **own,
    }


def event_of(
    message: Message, *, source: str, occurred_at: datetime, event_id: str | None = None, urgent: bool = False
) -> Event:
    """Return the event that tells of `message`, with key and profiles as its contract says.

    Args:
        message: A message whose contract has the event option.
        source: The context that publishes it, for example "consent".
        occurred_at: When it happened, aware.
        event_id: Its id, where it has one already; else a new one.
        urgent: Whether it is a negative.

    Raises:
        TypeError: The message is not an event.
        ValueError: It belongs to another context, has no key, its time is naive or its id malformed.
    """
    description = describe(type(message))
    if occurred_at.tzinfo is None:
        raise ValueError("occurred_at must be aware")
    if event_id is not None and not _ID.fullmatch(event_id):
        raise ValueError("malformed event id")
    return Event(
        event_id or new_id("event"),
        _type_of(description, source),
        message,
        description.key(message),
        description.profiles(message),
        source,
        occurred_at,
        urgent,
    )


@functools.cache
def _type_of(description: EventDescription, source: str) -> str:
    """Return the CloudEvents type of the events that a context publishes by this contract."""
    if not _CONTEXT.fullmatch(source) or description.context not in (None, source):
        raise ValueError(f"{description.schema} is not published by {source!r}")
    return f"rapport.{source}.{description.version}.{description.name}"


@dataclass(slots=True)
class Received:
    """An event as a reader gets it. Its headers were checked, its payload was not read yet.

    Attributes:
        id: Identity of the event: the same however often it is delivered or replayed.
        type: CloudEvents type.
        context: The context that published it.
        name: The event's name.
        source: CloudEvents source.
        time: When it happened, in the world.
        data: The payload.
        headers: All headers.
        stream: The stream it was read from.
        sequence: Its place there.
        delivered: Which delivery this is, from 1.
    """

    id: str
    type: str
    context: str
    name: str
    source: str
    time: datetime
    data: bytes
    headers: Mapping[str, str]
    stream: str
    sequence: int
    delivered: int = 1
    _parsed: Message | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        subject: str,
        headers: Mapping[str, str] | None,
        data: bytes,
        *,
        stream: str,
        sequence: int,
        delivered: int = 1,
    ) -> Received:
        """Read the envelope of a message.

        Raises:
            RapportError: EVENT_MALFORMED: headers are missing, malformed, or say other than the subject. A message that
                did not come from the context's own relay is found out here.
        """
        headers = headers or {}
        place = _SUBJECT.fullmatch(subject)
        time = _time(headers.get("ce-time", ""))
        wrong = [
            name
            for name, right in (
                ("subject", place is not None),
                ("ce-specversion", headers.get("ce-specversion") == "1.0"),
                (EVENT_ID, _ID.fullmatch(headers.get(EVENT_ID, "")) is not None),
                ("ce-type", place is not None and headers.get("ce-type") == subject.rpartition(".")[0]),
                ("ce-source", place is not None and headers.get("ce-source") == f"rapport/{place['context']}"),
                ("ce-time", time is not None),
            )
            if not right
        ]
        if place is None or time is None or wrong:
            raise EVENT_ERRORS.error(
                "EVENT_MALFORMED",
                f"unusable envelope: {', '.join(wrong)}",
                fields=[FieldViolation(name, "missing or malformed") for name in wrong],
                metadata={"headers": ",".join(wrong)},
            )
        return cls(
            id=headers[EVENT_ID],
            type=headers["ce-type"],
            context=place["context"],
            name=place["name"],
            source=headers["ce-source"],
            time=time,
            data=data,
            headers=headers,
            stream=stream,
            sequence=sequence,
            delivered=delivered,
        )

    @property
    def traceparent(self) -> str | None:
        """The trace in which the event was written, if it was and is well formed."""
        value = self.headers.get(TRACEPARENT, "")
        return value if _TRACEPARENT.fullmatch(value) else None

    def parse(self, message_class: MessageClass[M]) -> M:
        """Return the payload, read and held against the rules of its contract; read once, however often asked for.

        Raises:
            RapportError: EVENT_MALFORMED: this is another event, or the bytes are not one. EVENT_INVALID: it breaks a
                rule of the contract.
        """
        if isinstance(self._parsed, message_class):
            return self._parsed
        if describe(message_class).name != self.name:
            raise EVENT_ERRORS.error("EVENT_MALFORMED", f"{self.type} is not {describe(message_class).schema}")
        message = message_class()
        try:
            message.ParseFromString(self.data)
        except DecodeError:
            raise EVENT_ERRORS.error(
                "EVENT_MALFORMED", f"the payload is not {describe(message_class).schema}"
            ) from None
        validate(message)
        self._parsed = message
        return message


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.astimezone(UTC) if time.tzinfo is not None else None
