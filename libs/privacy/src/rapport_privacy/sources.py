"""The ledger as a replica in another process has it: over gRPC."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Final, cast

from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, ledger_pb2
from rapport_chassis.errors import RapportError
from rapport_chassis.rpc.client import Client
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.telemetry.logs import get_logger

from rapport_privacy.freshness import BOUND_S
from rapport_privacy.ports import ForeignEpochError, LedgerHead

_EPOCH_UNKNOWN: Final = "EPOCH_UNKNOWN"


class RemoteLedger:
    """Head, changes and snapshot of the consent service. Every call raises `RemoteError` where it cannot succeed.

    Why calls do not succeed is logged when it changes, such as a permission that is missing.

    Args:
        client: Calls the consent service.
        head_s: How long a head may be on its way; one that takes longer than the gate's bound proves nothing.
    """

    def __init__(self, client: Client, *, head_s: float = BOUND_S) -> None:
        self._stub = client.stub(consent_pb2_grpc.ConsentServiceStub)
        self._head_s = head_s
        self._problems: dict[str, str] = {}

    async def read(self) -> LedgerHead:
        """Return the committed head, read after this call began."""
        with self._noting("head"):
            answer = await self._stub.GetLedgerHead(consent_pb2.GetLedgerHeadRequest(), timeout=self._head_s)
        return LedgerHead(answer.head.epoch, answer.head.position)

    async def after(self, position: int, limit: int, epoch: str) -> list[ledger_pb2.LedgerChange]:
        """Return at most `limit` changes that follow a position, gap-free and in order; empty at the head.

        Raises:
            ForeignEpochError: The ledger is in another epoch than `epoch`.
        """
        request = consent_pb2.ListConsentEventsRequest(after_position=position, page_size=limit, epoch=epoch)
        try:
            with self._noting("changes"):
                answer = await self._stub.ListConsentEvents(request)
        except RemoteError as error:
            if error.reason.name == _EPOCH_UNKNOWN:
                raise ForeignEpochError from None
            raise
        return list(answer.changes)

    async def stream(self) -> AsyncGenerator[consent_pb2.StreamSnapshotResponse, None]:
        """Iterate over the messages of a snapshot."""
        call = self._stub.StreamSnapshot(consent_pb2.StreamSnapshotRequest())
        with self._noting("snapshot"):
            async with aclosing(cast(AsyncGenerator[Any, None], call)) as messages:
                async for message in messages:
                    yield message

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        try:
            yield
        except RapportError as error:
            self._note(what, error.reason.name)
            raise
        self._note(what, "")

    def _note(self, what: str, problem: str) -> None:
        if self._problems.get(what, "") != problem:
            self._problems[what] = problem
            state = "unreadable" if problem else "readable"
            get_logger().info("ledger", target=what, state=state, reason=problem or None)
