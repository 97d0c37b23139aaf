"""What the running services offer, asked from themselves: a service newer than this command is understood too."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from rapport.common.v1 import access_pb2

from rapport_local.failure import Failure
from rapport_local.probe import UNTRACED

_TIMEOUT_S: Final = 10.0
_FOREIGN: Final = ("grpc.",)


@dataclass(frozen=True)
class OfferedMethod:
    """A method that can be called.

    Attributes:
        descriptor: Its contract.
        provider: Name of the service process that offers it.
        address: Where that is.
        permission: What the caller's certificate must hold.
        human: Whether a human operator must stand behind the call.
    """

    descriptor: MethodDescriptor
    provider: str
    address: str
    permission: str
    human: bool

    @property
    def full_name(self) -> str:
        """Service and method, as on the wire."""
        return f"{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def short_name(self) -> str:
        """The same without what all of ours have in common."""
        return self.full_name.removeprefix("rapport.")


async def offered_methods(channel: grpc.aio.Channel, provider: str, address: str) -> list[OfferedMethod]:
    """Return every method of one process.

    Args:
        channel: To that process, with a certificate that may use reflection.
        provider: Its name.
        address: Its address.

    Raises:
        grpc.aio.AioRpcError: It cannot be reached or refuses.
    """
    listed = await _ask(channel, [reflection_pb2.ServerReflectionRequest(list_services="*")])
    names = [each.name for each in listed[0].list_services_response.service if not each.name.startswith(_FOREIGN)]
    files = await _ask(channel, [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in names])
    pool = _pool(proto for answer in files for proto in answer.file_descriptor_response.file_descriptor_proto)
    found = []
    for name in names:
        for method in pool.FindServiceByName(name).methods:
            rule = _access_rule(method)
            found.append(OfferedMethod(method, provider, address, rule.permission, rule.human))
    return found


def find_method(text: str, methods: Sequence[OfferedMethod]) -> OfferedMethod:
    """Return the method that a person means by `Method`, `Service/Method` or its full name.

    Raises:
        Failure: There is none, or several; the text names near ones.
    """
    wanted = text.strip("/").replace("/", ".").lower()
    dotted = {method.full_name.replace("/", "."): method for method in methods}
    found = [method for name, method in dotted.items() if f".{name.lower()}".endswith(f".{wanted}")]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(method.short_name for method in found)
        raise Failure(f"{text!r} may be any of {names}", hint="write more of the name")
    own_names = {method.descriptor.name.lower(): method.short_name for method in methods}
    near = difflib.get_close_matches(wanted.rsplit(".", maxsplit=1)[-1], own_names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(own_names[name] for name in near)}?" if near else "`rapport call` lists them all"
    raise Failure(f"no running service has a method {text!r}", hint=hint)


async def _ask(
    channel: grpc.aio.Channel, requests: Sequence[reflection_pb2.ServerReflectionRequest]
) -> list[reflection_pb2.ServerReflectionResponse]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[no-untyped-call]
    return [answer async for answer in stub.ServerReflectionInfo(iter(requests), timeout=_TIMEOUT_S, metadata=UNTRACED)]


def _pool(serialised: Iterable[bytes]) -> descriptor_pool.DescriptorPool:
    """A pool of these files, and of what statuses inside answers are made of."""
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for each in serialised:
        proto = descriptor_pb2.FileDescriptorProto.FromString(each)
        files[proto.name] = proto
    _add_with_dependencies(files, error_details_pb2.DESCRIPTOR)
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(name: str) -> None:
        if name in added:
            return
        added.add(name)
        for dependency in files[name].dependency:
            add(dependency)
        pool.AddSerializedFile(files[name].SerializeToString())

    for name in files:
        add(name)
    return pool


def _add_with_dependencies(files: dict[str, descriptor_pb2.FileDescriptorProto], descriptor: FileDescriptor) -> None:
    if descriptor.name not in files:
        files[descriptor.name] = descriptor_pb2.FileDescriptorProto.FromString(descriptor.serialized_pb)
        for dependency in descriptor.dependencies:
            _add_with_dependencies(files, dependency)


def _access_rule(method: MethodDescriptor) -> access_pb2.Access:
    """The option of our contracts; parsed again, since in a pool of its own the option is just unknown bytes."""
    options = descriptor_pb2.MethodOptions.FromString(method.GetOptions().SerializeToString())
    return options.Extensions[access_pb2.access]
