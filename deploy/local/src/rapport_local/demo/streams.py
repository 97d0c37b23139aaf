"""What services have published, read from the broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

from google.protobuf.message import Message
from rapport_chassis.events.jetstream import StoredMessage

from rapport_local.demo.shop import Cast

_EventT = TypeVar("_EventT", bound=Message)


async def published(cast: Cast, stream: str, event: type[_EventT]) -> list[_EventT]:
    """Return all events of one kind that a stream holds, oldest first."""
    schema = f"proto:{event.DESCRIPTOR.full_name}"
    return [
        event.FromString(each.data)
        async for each in _stored(cast, stream)
        if each.headers.get("ce-dataschema", "") == schema
    ]


async def _stored(cast: Cast, stream: str) -> AsyncIterator[StoredMessage]:
    state = (await cast.streams.stream_info(stream))["state"]
    for sequence in range(state["first_seq"], state["last_seq"] + 1):
        message = await cast.streams.get(stream, sequence)
        if message is not None:
            yield message
