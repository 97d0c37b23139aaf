"""Who gets in, and what refuses to be served at all."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
import rapport
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from rapport_chassis.rpc.foreign import access_of
from rapport_chassis.rpc.registration import RegistrationError
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.rpc.tls import TlsMaterial
from rapport_testing.pki import LocalAuthority
from rapport_testing.waiting import eventually


def unary(channel: Any, path: str) -> Any:
    """A method as it is on the wire: bytes in, bytes out."""
    return channel.unary_unary(path)


def methods_of_all_contracts() -> Iterator[MethodDescriptor]:
    for module in pkgutil.walk_packages(rapport.__path__, "rapport."):
        if module.name.endswith("_pb2"):
            for service in importlib.import_module(module.name).DESCRIPTOR.services_by_name.values():
                yield from service.methods


def test_every_method_of_every_contract_has_an_access_rule() -> None:
    methods = list(methods_of_all_contracts())
    assert methods
    assert [method.full_name for method in methods if access_of(method) is None] == []


async def test_without_a_certificate_the_handshake_fails(probe: Any) -> None:
    authorities = TlsMaterial.read(probe.tls("caller")).authorities
    async with grpc.aio.secure_channel(probe.server.address, grpc.ssl_channel_credentials(authorities)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary(channel, "/rapport.probe.v1.ProbeService/Answer")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_of_another_authority_fails_the_handshake(probe: Any, tmp_path: Any) -> None:
    files = LocalAuthority(tmp_path / "elsewhere").issue("caller")
    credentials = grpc.ssl_channel_credentials(
        TlsMaterial.read(probe.tls("caller")).authorities, files.key.read_bytes(), files.certificate.read_bytes()
    )
    async with grpc.aio.secure_channel(probe.server.address, credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary(channel, "/rapport.probe.v1.ProbeService/Answer")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_expired_certificate_fails_the_handshake(probe: Any) -> None:
    probe.authority.issue("caller", not_after=datetime.now(UTC) - timedelta(minutes=1))
    with pytest.raises(RemoteError, match="UNAVAILABLE"):
        await probe.stub().Write(probe.new())


async def test_a_caller_without_configuration_is_unknown(probe: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        await probe.stub("stranger").Answer(probe.new())
    assert (caught.value.reason.name, caught.value.reason.code) == ("CALLER_UNKNOWN", "UNAUTHENTICATED")
    assert caught.value.metadata == {"caller": "spiffe://rapport.local/stranger"}


@pytest.mark.parametrize(
    "uris", [[], ["spiffe://rapport.local/caller", "spiffe://rapport.local/reader"]], ids=["no URI", "two URIs"]
)
async def test_a_certificate_must_name_its_holder_by_exactly_one_uri(probe: Any, uris: list[str]) -> None:
    probe.authority.issue("nobody", uris=uris)
    with pytest.raises(RemoteError, match="CERTIFICATE_MISSING"):
        await probe.stub("nobody").Answer(probe.new())


async def test_a_missing_permission_is_named(probe: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        await probe.stub("reader").Decide(probe.new())
    assert (caught.value.reason.name, caught.value.reason.code) == ("PERMISSION_DENIED", "PERMISSION_DENIED")
    assert caught.value.metadata == {"permission": "probe.decisions.make"}
    (line,) = [json.loads(line) for line in probe.log.getvalue().splitlines() if "call_refused" in line]
    assert (line["reason"], line["caller"]) == ("PERMISSION_DENIED", "spiffe://rapport.local/reader")


async def test_who_is_refused_is_not_told_whether_the_request_was_well_formed(probe: Any) -> None:
    with pytest.raises(RemoteError, match="CALLER_UNKNOWN"):
        await probe.stub("stranger").Answer(probe.new(text="x" * 100))


async def test_a_permission_given_in_the_file_holds_without_a_restart(probe: Any) -> None:
    content = probe.policy_file.read_text()
    probe.policy_file.write_text(content.replace("roles:", "  spiffe://rapport.local/stranger: [probe.*]\nroles:"))
    stub = probe.stub("stranger")

    async def answers() -> bool:
        try:
            await stub.Answer(probe.new())
        except RemoteError as error:
            return error.reason.name != "CALLER_UNKNOWN"
        return True

    await eventually(answers)


async def test_reflection_needs_its_permission_and_can_be_switched_off(serve_probe: Any) -> None:
    async def services(probe: Any, name: str) -> list[str]:
        async def ask() -> Any:
            yield reflection_pb2.ServerReflectionRequest(list_services="")

        stub = probe.client(name).stub(reflection_pb2_grpc.ServerReflectionStub)
        answers = [answer async for answer in stub.ServerReflectionInfo(ask())]
        return [service.name for service in answers[0].list_services_response.service]

    open_probe = await serve_probe()
    assert "rapport.probe.v1.ProbeService" in await services(open_probe, "caller")
    with pytest.raises(RemoteError, match="PERMISSION_DENIED"):
        await services(open_probe, "reader")
    closed_probe = await serve_probe(reflection=False)
    with pytest.raises(RemoteError, match="METHOD_UNKNOWN"):
        await services(closed_probe, "caller")


class _AnyServicer:
    async def Answer(self, request: Any, context: Any) -> Any:
        return request

    Write = Decide = Gather = Answer

    async def Expand(self, request: Any, context: Any) -> Any:
        yield request

    Converse = Expand


class TestBuilder:
    async def test_refuses_a_service_added_twice(self, new_builder: Any, contract: Any) -> None:
        servicer = _AnyServicer()
        builder = new_builder().add(contract.add_to_server, servicer, contract.service)
        with pytest.raises(RegistrationError, match="added twice"):
            builder.add(contract.add_to_server, servicer, contract.service)

    async def test_refuses_to_build_without_a_declared_service(self, new_builder: Any, contract: Any) -> None:
        with pytest.raises(RegistrationError, match=r"declared but not added: rapport\.probe\.v1\.ProbeService"):
            new_builder(declared=[contract.service]).build()

    async def test_refuses_a_method_without_an_access_rule(self, new_builder: Any, contract: Any) -> None:
        def add(servicer: Any, server: Any) -> None:
            handler: Any = grpc.unary_unary_rpc_method_handler(servicer.Answer)
            generic = grpc.method_handlers_generic_handler("rapport.probe.v1.OpenService", {"Answer": handler})
            server.add_generic_rpc_handlers((generic,))

        file = descriptor_pb2.FileDescriptorProto(
            name="open.proto", package="rapport.probe.v1", dependency=[contract.service.file.name], syntax="proto3"
        )
        service = file.service.add(name="OpenService")
        service.method.add(name="Answer", input_type=".rapport.probe.v1.Probe", output_type=".rapport.probe.v1.Probe")
        descriptor = descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
        with pytest.raises(RegistrationError, match=r"OpenService/Answer has no access rule"):
            new_builder().add(add, _AnyServicer(), descriptor.services_by_name["OpenService"])

    async def test_refuses_a_function_that_adds_another_service(self, new_builder: Any, contract: Any) -> None:
        other = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
        with pytest.raises(RegistrationError, match="is not what was added"):
            new_builder().add(contract.add_to_server, _AnyServicer(), other)

    async def test_refuses_methods_for_operators_where_no_tokens_are_read(
        self, new_builder: Any, contract: Any
    ) -> None:
        with pytest.raises(RegistrationError, match=r"Decide asks for a human operator"):
            new_builder(tokens=False).add(contract.add_to_server, _AnyServicer(), contract.service)

    async def test_refuses_tokens_meant_for_another_service(self, new_builder: Any) -> None:
        with pytest.raises(RegistrationError, match="meant for pricing"):
            new_builder(audience="pricing")

    async def test_refuses_blocking_methods(self, new_builder: Any, contract: Any) -> None:
        class Blocking(_AnyServicer):
            def Answer(self, request: Any, context: Any) -> Any:
                return request

        with pytest.raises(RegistrationError, match="Answer must be a coroutine function"):
            new_builder().add(contract.add_to_server, Blocking(), contract.service)
