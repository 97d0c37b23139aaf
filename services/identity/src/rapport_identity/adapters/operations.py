"""Operations that are started in a transaction of a unit."""

from __future__ import annotations

from google.longrunning import operations_pb2
from google.protobuf.message import Message
from rapport_chassis.operations import OperationRunner

from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.units import Unit


class SubmittedOperations:
    """`Operations`, run by any process of the service.

    Args:
        runner: Runs them.
    """

    def __init__(self, runner: OperationRunner) -> None:
        self._runner = runner

    async def submit(
        self, unit: Unit, *, method: str, caller: str, request: Message, metadata: Message
    ) -> operations_pb2.Operation:
        """Start an operation in the transaction of a unit, and return it."""
        assert isinstance(unit, ResolvingUnit)
        return await self._runner.submit(
            unit.connection, method=method, caller=caller, request=request, metadata=metadata
        )
