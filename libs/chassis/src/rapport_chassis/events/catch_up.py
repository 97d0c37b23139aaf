"""Indexing a stream beyond the index: a relay may have died between the broker's answer and its note of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from google.protobuf.message import DecodeError

from rapport_chassis.events.contract import describe, event_class
from rapport_chassis.events.envelope import EVENT_ID
from rapport_chassis.events.jetstream import JetStreamApi, StoredMessage, get_body, stored_message
from rapport_chassis.events.published import Found, PublishedIndex
from rapport_chassis.events.wire import Request, Wire, WireError
from rapport_chassis.telemetry.logs import get_logger

_AT_ONCE: Final = 256
_ANSWER_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Where a stream ends, and for how long it keeps messages (zero: for ever)."""

    last: int
    max_age: timedelta


async def catch_up(wire: Wire, index: PublishedIndex, stream: str, *, domain: str | None) -> StreamEnd:
    """Index every event of the stream beyond the index; afterwards none of them waits in the outbox any more.

    Raises:
        RapportError: STREAM_MISSING, BROKER_UNAVAILABLE, NOT_READY.
        WireError: The broker went away meanwhile.
    """
    api = JetStreamApi(wire, domain=domain)
    info = await api.stream_info(stream)
    first, last = int(info["state"]["first_seq"]), int(info["state"]["last_seq"])
    progress = await index.progress()
    if progress > last:
        get_logger().warning("stream_began_anew", stream=stream, position=progress, sequence=last)
        progress = 0
    for start in range(max(progress + 1, first), last + 1, _AT_ONCE):
        end = min(start + _AT_ONCE - 1, last)
        stored = await stored_messages(wire, api.get_subject(stream), range(start, end + 1))
        found = [
            Found(each.headers[EVENT_ID], each.sequence, _profiles(each)) for each in stored if EVENT_ID in each.headers
        ]
        await index.record(found, progress=end)
        get_logger().info("stream_indexed", stream=stream, count=len(found), sequence=end)
    return StreamEnd(last, timedelta(microseconds=info["config"].get("max_age", 0) / 1000))


async def stored_messages(wire: Wire, subject: str, sequences: Sequence[int]) -> list[StoredMessage]:
    """Return the messages of these sequences, those of them that are still there, many at once.

    Args:
        wire: Reads them.
        subject: `JetStreamApi.get_subject` of the stream.
        sequences: Which ones.

    Raises:
        WireError: The broker went away meanwhile.
        JetStreamError: The broker refused.
    """
    requests = [Request(subject, get_body(sequence)) for sequence in sequences]
    answers = await wire.exchange(requests, timeout_s=_ANSWER_TIMEOUT_S)
    if not all(answers):
        raise WireError(wire.problem)
    stored = [stored_message(answer) for answer in answers if answer]
    return [message for message in stored if message is not None]


def _profiles(stored: StoredMessage) -> tuple[str, ...]:
    """The profiles an event concerns, read from the event itself: its row may be gone, as after a restore."""
    message_class = event_class(stored.headers.get("ce-dataschema", "").removeprefix("proto:"))
    if message_class is None:
        return ()
    message = message_class()
    try:
        message.ParseFromString(stored.data)
    except DecodeError:
        return ()
    return describe(message_class).profiles(message)
