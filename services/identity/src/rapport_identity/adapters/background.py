"""Work in steps behind what is served: it takes a share of the time and lets go between two steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from google.longrunning import operations_pb2
from google.protobuf.message import Message
from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.operations import OperationRunner
from rapport_chassis.rpc.health import Role
from rapport_chassis.telemetry.logs import get_logger

from rapport_identity.adapters.resolving import ResolvingUnit
from rapport_identity.app.units import Unit

_IDLE_S: Final = 1.0
_NOT_READY_S: Final = 0.1
_AFTER_FAILURE_S: Final = 5.0


class Stepping(Background):
    """A component that takes one step after the other while there is something to do.

    Args:
        name: Its name.
        step: Does some of the work, and returns whether there was any.
        clock: Paces.
        share: Of the time that steps take at most.
        idle_s: How long nothing is done where there was nothing to do.
        role: The role whose processes do it.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[bool]],
        clock: Clock,
        *,
        share: float,
        idle_s: float = _IDLE_S,
        role: Role = "api",
    ) -> None:
        self.name = name
        self.role = role
        self._idle_s = idle_s
        self._step = step
        self._clock = clock
        self._rest = (1 - share) / share

    async def run(self) -> None:
        """Take steps; one that is cut off leaves nothing behind."""
        failing = ""
        while True:
            began = self._clock.boottime()
            try:
                worked = await self._step()
            except RapportError as error:
                if error.reason.name not in (failing, "NOT_READY"):
                    get_logger().warning("step_failed", component=self.name, reason=error.reason.name)
                failing = error.reason.name
                await self._clock.sleep(_AFTER_FAILURE_S if failing != "NOT_READY" else _NOT_READY_S)
                continue
            except Exception as fault:
                get_logger().error("step_failed", component=self.name, exc_info=fault)
                await self._clock.sleep(_AFTER_FAILURE_S)
                continue
            failing = ""
            took = self._clock.boottime() - began
            await self._clock.sleep(took * self._rest if worked else self._idle_s)


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
