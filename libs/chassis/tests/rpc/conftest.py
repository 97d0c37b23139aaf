"""A service with every shape of method, served with real TLS, and clients of it."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
import pytest_asyncio
import structlog
from buf.validate import validate_pb2  # noqa: F401 - its options are used in the text below
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.descriptor import FileDescriptor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rapport.common.v1 import access_pb2  # noqa: F401 - as above
from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.clock import SystemClock
from rapport_chassis.rpc.client import Client
from rapport_chassis.rpc.deadlines import DeadlineTable
from rapport_chassis.rpc.server import Server, ServerBuilder
from rapport_chassis.rpc.tls import TlsMaterial, client_credentials
from rapport_chassis.settings import ClientSettings, GrpcSettings, TelemetrySettings, TlsFiles
from rapport_chassis.telemetry.logs import configure_logging
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.pki import LocalAuthority

SERVICE = "rapport.probe.v1.ProbeService"

_FILE = """
name: "rapport/probe/v1/probe.proto" package: "rapport.probe.v1" syntax: "proto3"
dependency: "buf/validate/validate.proto" dependency: "rapport/common/v1/access.proto"
message_type {
  name: "Probe"
  field {
    name: "text" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL json_name: "text"
    options { [buf.validate.field] { string { max_len: 20 } } }
  }
  field { name: "parts" number: 2 type: TYPE_MESSAGE type_name: ".rapport.probe.v1.Probe" label: LABEL_REPEATED
    json_name: "parts" }
  field { name: "padding" number: 3 type: TYPE_BYTES label: LABEL_OPTIONAL json_name: "padding" }
}
service {
  name: "ProbeService"
  %s
}
"""
_METHODS = {
    # name: (client streams, server streams, rule, idempotency)
    "Answer": (False, False, 'permission: "probe.calls.make"', "NO_SIDE_EFFECTS"),
    "Write": (False, False, 'permission: "probe.calls.make"', "IDEMPOTENCY_UNKNOWN"),
    "Decide": (False, False, 'permission: "probe.decisions.make" human: true', "IDEMPOTENT"),
    "Expand": (False, True, 'permission: "probe.calls.make"', "NO_SIDE_EFFECTS"),
    "Gather": (True, False, 'permission: "probe.calls.make"', "IDEMPOTENCY_UNKNOWN"),
    "Converse": (True, True, 'permission: "probe.calls.make"', "IDEMPOTENCY_UNKNOWN"),
}
_SHAPES = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}
Behaviour = Callable[..., Any]


@cache
def _descriptor() -> FileDescriptor:
    methods = "\n".join(
        f'method {{ name: "{name}" input_type: ".rapport.probe.v1.Probe" output_type: ".rapport.probe.v1.Probe" '
        f"client_streaming: {str(many).lower()} server_streaming: {str(answers).lower()} "
        f"options {{ idempotency_level: {level} [rapport.common.v1.access] {{ {rule} }} }} }}"
        for name, (many, answers, rule, level) in _METHODS.items()
    )
    text = text_format.Parse(_FILE % methods, descriptor_pb2.FileDescriptorProto())
    return descriptor_pool.Default().AddSerializedFile(text.SerializeToString())


class ProbeContract:
    """What generated code would hold for the service above."""

    @property
    def service(self) -> Any:
        return _descriptor().services_by_name["ProbeService"]

    @property
    def message(self) -> Any:
        return message_factory.GetMessageClass(_descriptor().message_types_by_name["Probe"])

    def add_to_server(self, servicer: Any, server: Any) -> None:
        handlers = {
            name: getattr(grpc, f"{_SHAPES[many, answers]}_rpc_method_handler")(getattr(servicer, name))
            for name, (many, answers, _, _) in _METHODS.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    def stub(self, channel: Any) -> Any:
        calls = {
            name: getattr(channel, _SHAPES[many, answers])(
                f"/{SERVICE}/{name}",
                request_serializer=self.message.SerializeToString,
                response_deserializer=self.message.FromString,
            )
            for name, (many, answers, _, _) in _METHODS.items()
        }
        return type("ProbeStub", (), calls)


class ProbeServicer:
    """Answers what it is asked, unless a test gives a method another behaviour."""

    def __init__(self) -> None:
        self.behaviours: dict[str, Behaviour] = {}

    async def _one(self, name: str, request: Any, context: Any) -> Any:
        behaviour = self.behaviours.get(name)
        return await behaviour(request, context) if behaviour else request

    async def Answer(self, request: Any, context: Any) -> Any:
        return await self._one("Answer", request, context)

    async def Write(self, request: Any, context: Any) -> Any:
        return await self._one("Write", request, context)

    async def Decide(self, request: Any, context: Any) -> Any:
        return await self._one("Decide", request, context)

    async def Expand(self, request: Any, context: Any) -> AsyncIterator[Any]:
        behaviour: Behaviour = self.behaviours.get("Expand", _parts)
        async for part in behaviour(request, context):
            yield part

    async def Gather(self, requests: Any, context: Any) -> Any:
        parts = [request async for request in requests]
        return ProbeContract().message(text=str(len(parts)), parts=parts)

    async def Converse(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield request


async def _parts(request: Any, context: Any) -> AsyncIterator[Any]:
    for part in request.parts:
        yield part


@dataclass
class Operators:
    """An issuer of actor tokens with one key."""

    folder: Path
    issuer: str = "https://login.rapport.local"
    key: jwt.PyJWK = field(init=False)

    def __post_init__(self) -> None:
        self.rotate("first")

    @property
    def file(self) -> Path:
        return self.folder / "issuers.json"

    def rotate(self, kid: str) -> None:
        """Replace the key."""
        self.key = _new_key(kid)
        public = {name: value for name, value in self.key._jwk_data.items() if name != "d"}
        content = {"issuers": [{"issuer": self.issuer, "keys": [public]}]}
        self.file.write_text(json.dumps(content))


def _new_key(kid: str) -> jwt.PyJWK:
    data = jwt.algorithms.OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)
    return jwt.PyJWK({**data, "kid": kid})


POLICY = """
certificates:
  spiffe://rapport.local/caller: [probe.*, chassis.reflection.read]
  spiffe://rapport.local/reader: [probe.calls.make]
roles:
  officer: [probe.decisions.make]
  clerk: [probe.calls.make]
"""


@dataclass
class Probe:
    """A served probe service."""

    server: Server
    servicer: ProbeServicer
    contract: ProbeContract
    authority: LocalAuthority
    operators: Operators
    policy_file: Path
    telemetry: Telemetry
    spans: InMemorySpanExporter
    log: StringIO
    closing: AsyncExitStack

    @property
    def new(self) -> Any:
        """Class of the messages."""
        return self.contract.message

    def tls(self, name: str) -> TlsFiles:
        """Files of a holder of a certificate."""
        files = self.authority.files(name)
        return TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)

    def client(self, name: str = "caller", *, deadlines: DeadlineTable | None = None, **settings: Any) -> Client:
        """A client that shows the certificate of this holder; closed with the test."""
        settings.setdefault("target", self.server.address)
        client = Client(ClientSettings(tls=self.tls(name), **settings), telemetry=self.telemetry, deadlines=deadlines)
        self.closing.push_async_callback(client.close)
        return client

    def stub(self, name: str = "caller", *, actor_token: str | None = None) -> Any:
        """A stub of a new client."""
        return self.client(name).stub(self.contract.stub, actor_token=actor_token)

    def channel(self, name: str = "caller") -> grpc.aio.Channel:
        """A plain gRPC channel, with nothing of ours around it; closed with the test."""
        channel = grpc.aio.secure_channel(self.server.address, client_credentials(TlsMaterial.read(self.tls(name))))
        self.closing.push_async_callback(channel.close)
        return channel

    def raw(self, method: str, name: str = "caller") -> Any:
        """A unary method as it is on the wire: bytes in, bytes out."""
        return self.channel(name).unary_unary(f"/{SERVICE}/{method}")


ServeProbe = Callable[..., Any]


@pytest.fixture
def authority(tmp_path: Path) -> LocalAuthority:
    made = LocalAuthority(tmp_path / "pki")
    for name in ("server", "caller", "reader", "stranger"):
        made.issue(name)
    return made


@pytest.fixture
def contract() -> ProbeContract:
    return ProbeContract()


@pytest.fixture
def new_builder(authority: LocalAuthority, tmp_path: Path) -> Callable[..., ServerBuilder]:
    """Makes server builders with the certificate of the server."""
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text(POLICY)
    operators = Operators(tmp_path)
    files = authority.files("server")
    tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)

    def make(
        *,
        telemetry: Telemetry | None = None,
        tokens: bool = True,
        audience: str = "probe",
        declared: Sequence[Any] = (),
        **settings: Any,
    ) -> ServerBuilder:
        settings.setdefault("drain_s", 0)
        return ServerBuilder(
            GrpcSettings(tls=tls, **settings),
            service="probe",
            telemetry=telemetry or Telemetry.off(),
            policy=PermissionPolicy.load(policy_file),
            tokens=ActorTokenVerifier(operators.file, audience) if tokens else None,
            clock=SystemClock(),
            declared=declared,
        )

    make.operators = operators  # type: ignore[attr-defined] # handed on to the fixture below
    make.policy_file = policy_file  # type: ignore[attr-defined] # as above
    return make


@pytest_asyncio.fixture
async def serve_probe(
    new_builder: Any, authority: LocalAuthority, contract: ProbeContract
) -> AsyncIterator[ServeProbe]:
    """Serves the probe, with the given settings of the listener, until the test ends."""
    spans = InMemorySpanExporter()
    telemetry = Telemetry.start(
        TelemetrySettings(sampling=1), service="probe", version="0", environment="test", span_exporter=spans
    )
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    log = StringIO()
    configure_logging("probe", "0", telemetry=telemetry, stream=log)
    closing = AsyncExitStack()

    async def serve(**settings: Any) -> Probe:
        servicer = ProbeServicer()
        settings.setdefault("stop_grace_s", 0.2)
        builder = new_builder(telemetry=telemetry, **settings)
        server = builder.add(contract.add_to_server, servicer, contract.service).build()
        await server.start()
        closing.push_async_callback(server.stop)
        return Probe(
            server,
            servicer,
            contract,
            authority,
            new_builder.operators,
            new_builder.policy_file,
            telemetry,
            spans,
            log,
            closing,
        )

    yield serve
    await closing.aclose()
    telemetry.shutdown()
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest_asyncio.fixture
async def probe(serve_probe: ServeProbe) -> Probe:
    """The probe, served with settings that suit most tests."""
    served: Probe = await serve_probe()
    return served
