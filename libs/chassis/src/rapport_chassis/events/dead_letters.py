"""Dead letters: references to events a consumer gave up, never the events themselves; and how to have another try.

What the broker itself reports (an event delivered too often, or ended) is kept in the same stream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rapport_chassis.events.envelope import EVENT_ID, MESSAGE_ID
from rapport_chassis.events.errors import EVENT_ERRORS
from rapport_chassis.events.jetstream import JetStreamApi, StoredMessage
from rapport_chassis.events.names import dead_letter_stream, dead_letter_subject, retry_stream, retry_subject
from rapport_chassis.ids import new_id

_HEADERS: Final = frozenset(
    {"ce-id", "ce-type", "ce-source", "ce-time", "ce-dataschema", "ce-specversion", "traceparent", "Nats-Msg-Id"}
)
_HARMLESS: Final = re.compile(r"[A-Za-z0-9_.:/+-]{1,200}")
_ADVISORY: Final = re.compile(r"\$JS\.EVENT\.ADVISORY\.CONSUMER\.(?P<kind>MAX_DELIVERIES|MSG_TERMINATED)\..+")
_SUBJECT: Final = re.compile(r"rapport\.dlq\.(?P<context>[a-z]+)\.(?P<consumer>[A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an event is, as dead letters and replays name it."""

    stream: str
    sequence: int

    @classmethod
    def read(cls, payload: bytes) -> Reference:
        """Read a reference.

        Raises:
            RapportError: EVENT_MALFORMED.
        """
        try:
            body = json.loads(payload)
            return cls(str(body["stream"]), int(body["sequence"]))
        except (ValueError, KeyError, TypeError):
            raise EVENT_ERRORS.error("EVENT_MALFORMED", "not a reference to an event") from None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a consumer gave up.

    Attributes:
        number: Its place among the dead letters, by which people name it; 0 before it has one.
        context: The context of the consumer.
        consumer: The consumer that gave it up.
        stream: The stream of the event.
        sequence: Its place there.
        reason: Code of the last failure; MAX_DELIVERIES where the consumer could not even say so.
        fields: Paths and rules of the contract that the event breaks.
        release: Release of the service that gave it up.
        deliveries: How often it had been delivered.
        time: When it was given up.
        headers: The event's headers, as far as they are harmless.
    """

    context: str
    consumer: str
    stream: str
    sequence: int
    reason: str
    release: str
    deliveries: int
    time: datetime
    fields: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    number: int = 0

    def to_json(self) -> bytes:
        """Return what is stored."""
        body = asdict(self) | {"time": self.time.astimezone(UTC).isoformat()}
        del body["number"]
        return json.dumps(body).encode()

    def describe(self) -> dict[str, Any]:
        """Return everything as plain values, for people and programs."""
        return asdict(self) | {"time": self.time.isoformat(timespec="seconds"), "fields": list(self.fields)}


def harmless(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the headers that every event has, without values that no relay would have written."""
    return {name: value for name, value in (headers or {}).items() if name in _HEADERS and _HARMLESS.fullmatch(value)}


class DeadLetters:
    """The dead letters of the installation.

    Args:
        api: JetStream; the user must be one that may read the stream, and for changes one that may change it.
        prefix: First part of every stream's name.
    """

    def __init__(self, api: JetStreamApi, *, prefix: str) -> None:
        self._api = api
        self._stream = dead_letter_stream(prefix)
        self._retries = retry_stream(prefix)

    async def add(self, letter: DeadLetter) -> None:
        """Store a dead letter; a repetition within the stream's duplicate window is stored once.

        Raises:
            JetStreamError: The stream refused it.
            RapportError: BROKER_UNAVAILABLE.
        """
        # With the id of the message that failed: a replay that fails again is another dead letter of the same event.
        failed = f"{letter.deliveries}:{letter.headers.get(MESSAGE_ID, '')}"
        identity = f"{letter.consumer}:{letter.stream}:{letter.sequence}:{failed}"
        subject = dead_letter_subject(letter.context, letter.consumer)
        await self._api.publish(subject, letter.to_json(), {MESSAGE_ID: identity})

    async def list(self) -> list[DeadLetter]:
        """Return all dead letters, oldest first; what the broker reported only where the consumer itself did not."""
        info = await self._api.stream_info(self._stream)
        first, last = info["state"]["first_seq"], info["state"]["last_seq"]
        stored = [await self._api.get(self._stream, sequence) for sequence in range(max(first, 1), last + 1)]
        letters = [letter for message in stored if message is not None and (letter := _letter(message)) is not None]
        own = {_event(letter) for letter in letters if letter.context}
        return [letter for letter in letters if letter.context or _event(letter) not in own]

    async def get(self, number: int) -> DeadLetter:
        """Return one dead letter.

        Raises:
            RapportError: DEAD_LETTER_UNKNOWN.
        """
        stored = await self._api.get(self._stream, number)
        letter = _letter(stored) if stored is not None else None
        if letter is None:
            raise EVENT_ERRORS.error(
                "DEAD_LETTER_UNKNOWN", f"there is no dead letter {number}", metadata={"number": str(number)}
            )
        return letter

    async def original(self, letter: DeadLetter) -> StoredMessage:
        """Return the event a dead letter refers to.

        Raises:
            RapportError: ORIGINAL_ERASED, ORIGINAL_GONE, STREAM_MISSING.
        """
        return await read_original(self._api, Reference(letter.stream, letter.sequence))

    async def replay(self, number: int, *, context: str | None = None) -> str:
        """Address the event once more to the consumer that failed, and to no other; the dead letter is done with.

        Args:
            number: The dead letter.
            context: The consumer's context, where the broker's own report does not say it.

        Returns:
            The message id of the replay.

        Raises:
            RapportError: DEAD_LETTER_UNKNOWN, ORIGINAL_ERASED, ORIGINAL_GONE.
            JetStreamError: The retry stream refused it.
        """
        letter = await self.get(number)
        reference, original = Reference(letter.stream, letter.sequence), await self.original(letter)
        if letter.stream == self._retries:
            # A replay that the consumer could not even give up: what it referred to is what is replayed.
            reference = Reference.read(original.data)
            original = await read_original(self._api, reference)
        message_id = new_id("event")
        event_id = original.headers.get(EVENT_ID, "")
        await self._api.publish(
            retry_subject(letter.context or context or letter.consumer.partition("-")[0], letter.consumer),
            json.dumps(asdict(reference)).encode(),
            {MESSAGE_ID: message_id, **({EVENT_ID: event_id} if _HARMLESS.fullmatch(event_id) else {})},
        )
        await self.discard(number)
        return message_id

    async def discard(self, number: int) -> None:
        """Forget a dead letter, and what the broker reported of the same event.

        Raises:
            RapportError: DEAD_LETTER_UNKNOWN.
        """
        discarded = await self.get(number)
        info = await self._api.stream_info(self._stream)
        for sequence in range(max(info["state"]["first_seq"], 1), info["state"]["last_seq"] + 1):
            stored = await self._api.get(self._stream, sequence)
            letter = _letter(stored) if stored is not None else None
            if letter is not None and (
                sequence == number or (not letter.context and _event(letter) == _event(discarded))
            ):
                await self._api.delete(self._stream, sequence)


async def read_original(api: JetStreamApi, reference: Reference) -> StoredMessage:
    """Return the event a reference names.

    Raises:
        RapportError: ORIGINAL_ERASED, ORIGINAL_GONE, STREAM_MISSING.
    """
    stored = await api.get(reference.stream, reference.sequence)
    if stored is not None:
        return stored
    first = (await api.stream_info(reference.stream))["state"]["first_seq"]
    # Before the first one left nobody can tell: an erasure at the beginning moves it too.
    is_before = reference.sequence < first
    reason, how = ("ORIGINAL_GONE", "was erased or aged out") if is_before else ("ORIGINAL_ERASED", "was erased")
    raise EVENT_ERRORS.error(
        reason,
        f"message {reference.sequence} of {reference.stream} {how}",
        metadata={"stream": reference.stream, "sequence": str(reference.sequence)},
    )


def _event(letter: DeadLetter) -> tuple[str, str, int]:
    return letter.consumer, letter.stream, letter.sequence


def _letter(stored: StoredMessage) -> DeadLetter | None:
    body = json.loads(stored.data)
    if _SUBJECT.fullmatch(stored.subject):
        return DeadLetter(
            context=body["context"],
            consumer=body["consumer"],
            stream=body["stream"],
            sequence=body["sequence"],
            reason=body["reason"],
            release=body["release"],
            deliveries=body["deliveries"],
            time=datetime.fromisoformat(body["time"]),
            fields=tuple(body["fields"]),
            headers=body["headers"],
            number=stored.sequence,
        )
    advisory = _ADVISORY.fullmatch(stored.subject)
    if advisory is None:
        return None
    return DeadLetter(
        context="",
        consumer=body["consumer"],
        stream=body["stream"],
        sequence=body["stream_seq"],
        reason=advisory["kind"],
        release="",
        deliveries=body.get("deliveries", 0),
        time=datetime.fromisoformat(body["timestamp"]),
        number=stored.sequence,
    )
