"""Events of the past, read from the streams themselves: nothing of them is kept here.

Where a time lies in a stream is found by halving; from there on events are read one by one. What was erased is not
there any more, and so is not counted.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from rapport_chassis.errors import RapportError
from rapport_chassis.events.envelope import Received
from rapport_chassis.events.jetstream import StoredMessage, stored_message
from rapport_chassis.events.names import stream_name
from rapport_chassis.events.nats import NatsConnection

from rapport_notification.domain.occurrences import Occurred
from rapport_notification.translate.occurrences import CLASSES, CONTEXTS, occurred_of


class PastEvents:
    """Reads events that happened.

    Args:
        nats: The connection; its user may read single messages of the streams that the service consumes.
    """

    def __init__(self, nats: NatsConnection) -> None:
        self._nats = nats

    async def since(self, event: str, at: datetime, most: int) -> list[Occurred]:
        """Return what happened since a time, the oldest first; of more than `most` the rest is left out.

        Raises:
            RapportError: STREAM_MISSING, BROKER_UNAVAILABLE.
        """
        stream = stream_name(self._nats.settings.stream_prefix, CONTEXTS[event])
        sequence = await self._first_since(stream, at)
        found: list[Occurred] = []
        while sequence is not None and len(found) < most:
            stored = stored_message(await self._read(stream, sequence, f"rapport.{CONTEXTS[event]}.v1.{event}.*"))
            if stored is None:
                break
            sequence = stored.sequence + 1
            if (occurred := _occurred(event, stored, stream)) is not None:
                found.append(occurred)
        return found

    async def _first_since(self, stream: str, at: datetime) -> int | None:
        """Return the first sequence stored since a time; None if there is none."""
        state: dict[str, Any] = (await self._nats.jetstream.stream_info(stream))["state"]
        if not state["messages"] or datetime.fromisoformat(state["last_ts"]) < at:
            return None
        low, high = int(state["first_seq"]), int(state["last_seq"])
        while low < high:
            middle = (low + high) // 2
            # What was erased leaves a gap: the next message after it says where it lies in time.
            answer = json.loads(await self._read(stream, middle, ">"))
            if (message := answer.get("message")) is None or datetime.fromisoformat(message["time"]) >= at:
                high = middle
            else:
                low = int(message["seq"]) + 1
        return low

    async def _read(self, stream: str, sequence: int, subject: str) -> bytes:
        """Return the broker's answer about the first message from a sequence on with a subject."""
        body = json.dumps({"seq": sequence, "next_by_subj": subject}).encode()
        return await self._nats.request(self._nats.jetstream.get_subject(stream), body)


def _occurred(event: str, stored: StoredMessage, stream: str) -> Occurred | None:
    """Return what a message tells of; None for one that no reader would take."""
    try:
        received = Received.of(stored.subject, stored.headers, stored.data, stream=stream, sequence=stored.sequence)
        return occurred_of(received.id, received.parse(CLASSES[event]))
    except RapportError:
        return None
