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
    return [each async for _, each in published_since(cast, stream, event, 0)]


async def ends(cast: Cast, *streams: str) -> dict[str, int]:
    """Return where streams end now."""
    return {stream: (await cast.streams.stream_info(stream))["state"]["last_seq"] for stream in streams}


async def published_since(
    cast: Cast, stream: str, event: type[_EventT], after: int
) -> AsyncIterator[tuple[StoredMessage, _EventT]]:
    """Yield what a stream holds of one kind of event beyond a place, each with the message that carries it."""
    schema = f"proto:{event.DESCRIPTOR.full_name}"
    async for each in _stored(cast, stream, after):
        if each.headers.get("ce-dataschema", "") == schema:
            yield each, event.FromString(each.data)


async def _stored(cast: Cast, stream: str, after: int = 0) -> AsyncIterator[StoredMessage]:
    state = (await cast.streams.stream_info(stream))["state"]
    for sequence in range(max(state["first_seq"], after + 1), state["last_seq"] + 1):
        message = await cast.streams.get(stream, sequence)
        if message is not None:
            yield message
