"""A consent ledger over gRPC with mTLS, in a thread of the test: what the gate of a service under test follows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import grpc
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, ledger_pb2

from rapport_testing.free_ports import free_port
from rapport_testing.installation import Installation
from rapport_testing.ledger_model import LedgerModel

_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)


class _Servicer(consent_pb2_grpc.ConsentServiceServicer):
    def __init__(self, ledger: LedgerModel) -> None:
        self._ledger = ledger
        self.written: dict[str, consent_pb2.WithdrawConsentRequest | consent_pb2.RecordObjectionRequest] = {}

    async def WithdrawConsent(  # noqa: N802 - the contract names it
        self, request: consent_pb2.WithdrawConsentRequest, context: Any
    ) -> consent_pb2.LedgerWrite:
        """Take consent back, once for a request id."""
        return self._write(request, ledger_pb2.CONSENT_STATUS_WITHDRAWN)

    async def RecordObjection(  # noqa: N802 - the contract names it
        self, request: consent_pb2.RecordObjectionRequest, context: Any
    ) -> consent_pb2.LedgerWrite:
        """Record an objection, once for a request id."""
        return self._write(request, ledger_pb2.CONSENT_STATUS_OBJECTED)

    def _write(
        self, request: consent_pb2.WithdrawConsentRequest | consent_pb2.RecordObjectionRequest, status: int
    ) -> consent_pb2.LedgerWrite:
        if request.request_id not in self.written:
            self.written[request.request_id] = request
            for purpose_id in request.purpose_ids:
                self._ledger.deny(request.profile_id, purpose_id, status)
        answer = consent_pb2.LedgerWrite(current_profile_id=request.profile_id)
        answer.token.epoch, answer.token.position = self._ledger.epoch, self._ledger.position
        return answer

    async def GetLedgerHead(self, request: consent_pb2.GetLedgerHeadRequest, context: Any) -> consent_pb2.LedgerHead:  # noqa: N802 - the contract names it
        """Return the head."""
        answer = consent_pb2.LedgerHead()
        answer.head.epoch, answer.head.position = self._ledger.epoch, self._ledger.position
        return answer

    async def ListConsentEvents(  # noqa: N802 - the contract names it
        self, request: consent_pb2.ListConsentEventsRequest, context: Any
    ) -> consent_pb2.ListConsentEventsResponse:
        """Return changes after a position."""
        changes = await self._ledger.after(request.after_position, request.page_size, request.epoch)
        return consent_pb2.ListConsentEventsResponse(changes=changes)

    async def StreamSnapshot(  # noqa: N802 - the contract names it
        self, request: consent_pb2.StreamSnapshotRequest, context: Any
    ) -> AsyncIterator[consent_pb2.StreamSnapshotResponse]:
        """Stream the whole state."""
        for message in list(self._ledger.snapshot()):
            yield message


class LedgerService:
    """The ledger, served.

    Args:
        installation: Whose service follows it.
        purposes: What is defined, with the legal basis of each.
        also: Adds what else the consent service answers.

    Attributes:
        address: Where.
        written: What callers have had written, by request id.
    """

    def __init__(
        self,
        installation: Installation,
        purposes: Mapping[str, int],
        *,
        also: Callable[[grpc.aio.Server], None] | None = None,
    ) -> None:
        self._also = also
        self.address = f"localhost:{free_port()}"
        self._ledger = LedgerModel()
        self._servicer = _Servicer(self._ledger)  # type: ignore[abstract] # what a gate and a writer ask for
        self.written = self._servicer.written
        for purpose_id, basis in purposes.items():
            self._ledger.define(purpose_id, basis, active_from=_LONG_AGO)
        files = installation.certificate("consent")
        self._credentials = grpc.ssl_server_credentials(
            [(files.key.read_bytes(), files.certificate.read_bytes())],
            files.authorities.read_bytes(),
            require_client_auth=True,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def head(self) -> tuple[str, int]:
        """Its epoch and position: what an answer that must know everything so far is asked for with."""
        return self._ledger.epoch, self._ledger.position

    def grant(self, profile_id: str, *purpose_ids: str) -> None:
        """Have a person grant purposes."""
        for each in purpose_ids:
            self._do(partial(self._ledger.grant, profile_id, each, decided_at=datetime.now(UTC)))

    def refuse(self, profile_id: str, *purpose_ids: str) -> None:
        """Have a person refuse purposes."""
        for each in purpose_ids:
            self._do(partial(self._ledger.deny, profile_id, each, ledger_pb2.CONSENT_STATUS_REFUSED))

    def withdraw(self, profile_id: str, *purpose_ids: str) -> None:
        """Have a person take a yes back."""
        for each in purpose_ids:
            self._do(partial(self._ledger.deny, profile_id, each, ledger_pb2.CONSENT_STATUS_WITHDRAWN))

    def merge(self, survivor_id: str, absorbed_id: str) -> None:
        """Have two profiles become one."""
        self._do(partial(self._ledger.merge, survivor_id, absorbed_id))

    def split(self, profile_id: str) -> None:
        """Have an absorbed profile be one of its own again."""
        self._do(partial(self._ledger.split, profile_id))

    def restrict(self, profile_id: str, *, in_force: bool = True) -> None:
        """Have the processing of a person's data restricted, or not any more."""
        self._do(partial(self._ledger.restrict, profile_id, in_force=in_force))

    def erase(self, profile_id: str) -> None:
        """Have a person erased: a fence stands before every id that is theirs."""
        self._do(partial(self._ledger.fence, profile_id))

    def start(self) -> None:
        """Serve."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()

    def stop(self) -> None:
        """Serve no more, for good."""
        self.pause()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def pause(self) -> None:
        """Serve no more, until `resume`."""
        asyncio.run_coroutine_threadsafe(self._server.stop(None), self._loop).result()

    def resume(self) -> None:
        """Serve again."""
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()

    async def _serve(self) -> None:
        self._server = grpc.aio.server()
        consent_pb2_grpc.add_ConsentServiceServicer_to_server(self._servicer, self._server)
        if self._also is not None:
            self._also(self._server)
        self._server.add_secure_port(self.address, self._credentials)
        await self._server.start()

    def _do(self, change: Callable[[], None]) -> None:
        async def done() -> None:
            change()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result()


def gate_settings(installation: Installation, ledger: LedgerService) -> dict[str, str]:
    """Return the settings by which processes of the service follow the ledger."""
    files = installation.certificate(installation.service.name)
    return {
        "gate__name": installation.service.name,
        "gate__consent": ledger.address,
        "gate__tls__certificate": str(files.certificate),
        "gate__tls__key": str(files.key),
        "gate__tls__authorities": str(files.authorities),
    }
