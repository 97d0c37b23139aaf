"""A service that several parts answer."""

from __future__ import annotations

import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc
from rapport_chassis.errors import RapportError
from rapport_chassis.rpc.servicer import servicer_of

SERVICE = operations_pb2.DESCRIPTOR.services_by_name["Operations"]


class Reading:
    async def GetOperation(self, request, context):
        return f"got {request}"

    async def ListOperations(self, request, context):
        return f"listed {request}"


class Ending:
    async def CancelOperation(self, request, context):
        return f"cancelled {request}"


class Both(Ending):
    async def GetOperation(self, request, context):
        return "also got"


def made(*parts):
    return servicer_of(operations_pb2_grpc.OperationsServicer, SERVICE, *parts)


async def test_each_call_goes_to_the_part_that_has_its_method():
    servicer = made(Reading(), Ending())
    assert isinstance(servicer, operations_pb2_grpc.OperationsServicer)
    assert await servicer.GetOperation("a", None) == "got a"
    assert await servicer.CancelOperation("b", None) == "cancelled b"


async def test_a_method_that_no_part_has_is_unknown():
    with pytest.raises(RapportError) as caught:
        await made(Reading()).DeleteOperation("a", None)
    assert caught.value.reason.name == "METHOD_UNKNOWN"


@pytest.mark.parametrize("parts", [(Reading(), Both()), (Reading(), object())])
def test_a_method_of_two_parts_and_a_part_without_any_are_refused(parts):
    with pytest.raises(ValueError, match="no method of its own, or another part's"):
        made(*parts)
