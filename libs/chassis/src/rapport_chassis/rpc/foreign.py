"""Services whose contracts are not ours, so that they cannot state their permissions: this table does."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from google.protobuf.descriptor import MethodDescriptor
from rapport.common.v1 import access_pb2

from rapport_chassis.rpc.pipeline import Access

HEALTH: Final = "grpc.health.v1.Health"
REFLECTION: Final = "grpc.reflection.v1alpha.ServerReflection"
OPERATIONS: Final = "google.longrunning.Operations"

ANYONE: Final = Access(permission="")
"""Any holder of a certificate of the installation."""

FOREIGN: Final = MappingProxyType(
    {
        HEALTH: ANYONE,
        REFLECTION: Access(permission="chassis.reflection.read"),
        # An operation needs the permission of the method that started it: the servicer asks `Call.require` for that.
        OPERATIONS: Access(permission="chassis.operations.use"),
    }
)
"""Full name of a service -> who may call its methods."""

ALWAYS_ADMITTED: Final = frozenset({HEALTH})
"""Services that overload does not shut out: a refused health check gets a busy process killed."""


def access_of(method: MethodDescriptor) -> Access | None:
    """Return who may call the method: from the table for a foreign service, else from its option; None without one."""
    foreign = FOREIGN.get(method.containing_service.full_name)
    if foreign is not None:
        return foreign
    options = method.GetOptions()
    if not options.HasExtension(access_pb2.access):
        return None
    rule = options.Extensions[access_pb2.access]
    return Access(rule.permission, rule.human) if rule.permission else None
