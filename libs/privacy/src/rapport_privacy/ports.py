"""What a follower needs of a ledger. Each source ends a call that cannot succeed with an exception of its own."""

from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol

from rapport.consent.v1 import consent_pb2, ledger_pb2


class LedgerHead(NamedTuple):
    """The last committed position."""

    epoch: str
    position: int


class ForeignEpochError(Exception):
    """The ledger is in another epoch than the one asked for."""


class HeadSource(Protocol):
    """Reads the head."""

    async def read(self) -> LedgerHead:
        """Return the committed head, read after this call began; one read may serve all calls already waiting."""
        ...


class ChangeSource(Protocol):
    """Reads positioned changes."""

    async def after(self, position: int, limit: int, epoch: str) -> list[ledger_pb2.LedgerChange]:
        """Return at most `limit` changes that follow a position, gap-free and in order; empty at the head.

        An erased row comes as a bare position with its fence.

        Raises:
            ForeignEpochError: The ledger is in another epoch than `epoch`.
        """
        ...


class SnapshotSource(Protocol):
    """Reads the whole state."""

    def stream(self) -> AsyncGenerator[consent_pb2.StreamSnapshotResponse, None]:
        """Iterate over the messages of a snapshot: header, chunks, trailer. Closed by its reader, also half-way."""
        ...
