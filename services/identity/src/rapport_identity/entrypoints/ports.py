"""What the ways in need of the technology behind them; bootstrap hands it to them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from google.longrunning import operations_pb2
from google.protobuf.message import Message
from rapport.identity.v1 import identity_pb2

from rapport_identity.app.units import Unit


class IdMap(Protocol):
    """Reads every id ever issued and what it stands for."""

    def stream(self) -> AsyncGenerator[identity_pb2.StreamIdMapResponse, None]:
        """Yield header, chunks and trailer: one moment of the partition."""
        ...


class Backlog(Protocol):
    """What was written and is not published yet."""

    async def oldest_unpublished_s(self) -> float:
        """Return for how many seconds the oldest event has waited to be published; 0 if none waits."""
        ...


class Operations(Protocol):
    """Starts long work."""

    async def submit(
        self, unit: Unit, *, method: str, caller: str, request: Message, metadata: Message
    ) -> operations_pb2.Operation:
        """Start an operation in the transaction of a unit, and return it."""
        ...
