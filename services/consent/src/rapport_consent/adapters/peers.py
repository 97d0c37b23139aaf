"""Channels to the services that take part in privacy requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.rpc.client import Client, StubClass
from rapport_chassis.settings import ClientSettings, TlsFiles
from rapport_chassis.telemetry.setup import Telemetry

StubT = TypeVar("StubT")


class Peers:
    """Makes channels when they are first needed, and closes them with the process.

    Args:
        targets: Where each service is.
        tls: Client certificate.
        server_name: Name that servers' certificates must carry, where it differs from the target's host.
        telemetry: Records calls.
    """

    name = "peers"
    role = "all"

    def __init__(
        self, targets: Mapping[str, str], tls: TlsFiles, server_name: str | None, telemetry: Telemetry
    ) -> None:
        self._targets = dict(targets)
        self._tls = tls
        self._server_name = server_name
        self._telemetry = telemetry
        self._clients: dict[str, Client] = {}

    def __contains__(self, peer: str) -> bool:
        """Whether it is known where a service is."""
        return peer in self._targets

    def stub(self, peer: str, stub_class: StubClass[StubT]) -> StubT:
        """Return a stub for calls to a service.

        Raises:
            RapportError: NOT_READY: nobody said where it is.
        """
        if peer not in self._targets:
            raise CHASSIS_ERRORS.error("NOT_READY", "it is not known where this service is", metadata={"service": peer})
        if peer not in self._clients:
            settings = ClientSettings(target=self._targets[peer], tls=self._tls, server_name=self._server_name)
            self._clients[peer] = Client(settings, telemetry=self._telemetry)
        return self._clients[peer].stub(stub_class)

    async def start(self) -> None:
        """Do nothing: channels are made when they are needed."""

    async def stop(self) -> None:
        """Close all channels."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()
