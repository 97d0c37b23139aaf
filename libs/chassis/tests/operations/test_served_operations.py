"""Operations as callers meet them: over mTLS, with the permissions of their certificates."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc, operations_proto_pb2
from google.protobuf import duration_pb2
from rapport.consent.v1 import consent_pb2
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.operations import OperationRunner, OperationsServicer, Running
from rapport_chassis.rpc.client import Client
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.settings import ClientSettings, GrpcSettings, TlsFiles
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.pki import LocalAuthority

METHOD = f"{consent_pb2.DESCRIPTOR.services_by_name['ConsentService'].full_name}/RecordConsent"
POLICY = """
certificates:
  spiffe://rapport.local/writer: [chassis.operations.use, consent.ledger.write]
  spiffe://rapport.local/reader: [chassis.operations.use, consent.ledger.read]
roles: {}
"""
StubOf = Callable[[str], Any]


async def _work(running: Running) -> consent_pb2.LedgerWrite:
    return consent_pb2.LedgerWrite()


@pytest.fixture
async def stub_of(service_database: Database, tmp_path: Path) -> AsyncIterator[StubOf]:
    """Make a stub for the holder of a certificate; the service runs until the test ends."""
    authority = LocalAuthority(tmp_path / "pki")
    for name in ("server", "writer", "reader"):
        authority.issue(name)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)

    def tls(name: str) -> TlsFiles:
        files = authority.files(name)
        return TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)

    server = (
        ServerBuilder(
            GrpcSettings(tls=tls("server"), stop_grace_s=0.2, drain_s=0),
            service="sample",
            telemetry=Telemetry.off(),
            policy=PermissionPolicy.load(policy),
            tokens=None,
            clock=SystemClock(),
        )
        .add(
            operations_pb2_grpc.add_OperationsServicer_to_server,
            OperationsServicer(service_database),
            operations_proto_pb2.DESCRIPTOR.services_by_name["Operations"],
        )
        .build()
    )
    await server.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)

        def make(name: str) -> Any:
            client = Client(ClientSettings(target=server.address, tls=tls(name)), telemetry=Telemetry.off())
            stack.push_async_callback(client.close)
            return client.stub(operations_pb2_grpc.OperationsStub)

        yield make


async def test_the_permission_of_the_starting_method_opens_an_operation_and_nothing_else_does(
    service_database: Database, stub_of: StubOf
) -> None:
    runner = OperationRunner(service_database, poll_s=0.02)
    runner.register(METHOD, _work)
    async with service_database.transaction() as connection:
        started = await runner.submit(
            connection, method=METHOD, caller="writer", request=consent_pb2.RecordConsentRequest()
        )
    writer, reader = stub_of("writer"), stub_of("reader")
    with pytest.raises(RemoteError) as caught:
        await reader.GetOperation(operations_pb2.GetOperationRequest(name=started.name))
    assert caught.value.reason.name == "PERMISSION_DENIED"
    assert "consent.ledger.write" in caught.value.message
    assert not (await reader.ListOperations(operations_pb2.ListOperationsRequest())).operations
    (listed,) = (await writer.ListOperations(operations_pb2.ListOperationsRequest())).operations
    assert listed.name == started.name

    await runner.start()
    try:
        operation = await writer.WaitOperation(
            operations_pb2.WaitOperationRequest(name=started.name, timeout=duration_pb2.Duration(seconds=4))
        )
    finally:
        await runner.stop()
    assert operation.done
    assert operation.response.Is(consent_pb2.LedgerWrite.DESCRIPTOR)
