"""A service whose parts tell what they do, run as a real process by the tests beside it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Literal

from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.empty_pb2 import Empty
from pydantic_settings import SettingsConfigDict
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.cli import Command, ServiceDefinition, main
from rapport_chassis.clock import SystemClock
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.process import Assembly
from rapport_chassis.rpc.health import Role
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.settings import ServiceSettings
from rapport_chassis.telemetry.setup import Telemetry

FOLDER = Path(os.environ.get("RAPPORT_TOLD_FOLDER", "."))


def tell(what: str) -> None:
    """Add a line to what the test reads."""
    with (FOLDER / "told").open("a") as file:
        file.write(f"{what}\n")


async def until(name: str) -> None:
    """Wait for the test to make a file."""
    while not (FOLDER / name).exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)


class Settings(ServiceSettings):
    """Nothing beside what every service has."""

    model_config = SettingsConfigDict(env_prefix="RAPPORT_SAMPLE_")


class Operations(operations_pb2_grpc.OperationsServicer):
    """A foreign service with a method that waits."""

    async def WaitOperation(self, request: Any, context: Any) -> Any:
        """Answer once the test says so."""
        tell("call entered")
        await until("release-call")
        tell("call answered")
        return operations_pb2.Operation(name=request.name)

    async def GetOperation(self, request: Any, context: Any) -> Any:
        """Answer at once."""
        return operations_pb2.Operation(name=request.name)

    async def ListOperations(self, request: Any, context: Any) -> Any:
        """Answer with nothing."""
        return operations_pb2.ListOperationsResponse()

    async def DeleteOperation(self, request: Any, context: Any) -> Any:
        """Do nothing."""
        return Empty()

    CancelOperation = DeleteOperation


class Part:
    """A component that tells when it starts and stops."""

    def __init__(self, name: str, role: Role | Literal["all"]) -> None:
        self.name = name
        self.role = role

    async def start(self) -> None:
        """Start, or fail as long as the test has put an obstacle in the way."""
        if (FOLDER / f"{self.name}-missing").exists():
            raise ConnectionRefusedError(self.name)
        tell(f"{self.name} started")

    async def stop(self) -> None:
        """Stop; a consumer finishes its message when the test lets it."""
        if self.role == "events":
            tell(f"{self.name} fetches no more")
            await until("release-message")
        tell(f"{self.name} stopped")

    async def open(self) -> None:
        """Start, as a resource."""
        await self.start()

    async def close(self) -> None:
        """Stop, as a resource."""
        await self.stop()


def build(settings: Settings, roles: tuple[Role, ...]) -> Assembly:
    """Put the process together."""
    telemetry = Telemetry.off()
    builder = ServerBuilder(
        settings.grpc,
        service="sample",
        telemetry=telemetry,
        policy=PermissionPolicy.load(settings.auth.policy_file),
        tokens=None,
        clock=SystemClock(),
        roles=roles,
    )
    if "api" in roles:
        builder.add(
            operations_pb2_grpc.add_OperationsServicer_to_server,
            Operations(),
            operations_pb2.DESCRIPTOR.services_by_name["Operations"],
        )
    return Assembly(
        telemetry=telemetry,
        server=builder.build(),
        roles=roles,
        drain_s=settings.grpc.drain_s,
        database=Part("database", "all"),
        nats=Part("nats", "all"),
        http=Part("http", "api"),
        components=[Part("consumer", "events"), Part("relay", "relay"), Part("sweeper", "all")],
    )


def where(settings: Settings) -> int:
    """A command of the service's own, which ends with the exit code 3."""
    sys.stdout.write(f"{settings.environment}\n")
    return 3


if __name__ == "__main__":
    own = (Command("where", "print the environment", where),)
    sys.exit(main(ServiceDefinition("sample", "rapport-chassis", Settings, build, CHASSIS_ERRORS, commands=own)))
