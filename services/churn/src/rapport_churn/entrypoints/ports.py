"""What the ways in need of the technology behind them; bootstrap hands it to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from google.longrunning import operations_pb2
from google.protobuf.message import Message
from rapport_chassis.database.pool import Connection

from rapport_churn.app.scores import Kept
from rapport_churn.domain.facts import Fact


class FactStore(Protocol):
    """Enters facts into the log, in the transaction of a consumer."""

    async def hold(self, connection: Connection) -> Any:
        """Hold the log's head: this transaction writes next."""
        ...

    async def known(self, connection: Connection, fact_ids: Collection[str]) -> set[str]:
        """Return those facts of which an issue is in the log."""
        ...

    async def append(self, connection: Connection, held: Any, facts: Iterable[Fact]) -> int:
        """Enter facts and return of how many something was new; `held` is what `hold` returned."""
        ...


class Operations(Protocol):
    """Starts long work."""

    async def submit(
        self, connection: Connection, *, method: str, caller: str, request: Message, metadata: Message | None = None
    ) -> operations_pb2.Operation:
        """Start an operation in a transaction, and return it."""
        ...


class Journal(Protocol):
    """Decisions, to be explained later."""

    def add(self, kept: Kept) -> None:
        """Keep a decision without effect; it is written within 100 ms.

        Raises:
            RapportError: NOT_READY.
        """
        ...

    async def find(self, decision_id: str) -> Kept | None:
        """Return a decision; None if there is none. One about an erased person has neither profile nor body.

        Raises:
            RapportError: NOT_READY.
        """
        ...


class RankedRow(Protocol):
    """A customer in an order."""

    @property
    def figure(self) -> float: ...  # noqa: D102
    @property
    def profile_id(self) -> str: ...  # noqa: D102
    @property
    def risk(self) -> int: ...  # noqa: D102
    @property
    def body(self) -> bytes: ...  # noqa: D102


class RankReader(Protocol):
    """Reads customers in order."""

    async def page(
        self, order: Any, after: tuple[float, str] | None, limit: int, *, at_risk_only: bool, segment: str
    ) -> Sequence[RankedRow]:
        """Return customers, the first first.

        Raises:
            RapportError: NOT_READY.
        """
        ...


class Transactions(Protocol):
    """Opens transactions."""

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Give a transaction: committed at the end of the block, undone on an error."""
        ...
