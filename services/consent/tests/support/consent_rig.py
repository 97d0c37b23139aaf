"""An installation whose parts may be stopped and killed: each test that does so leaves all of them running."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from consent_desk import furnish, start_installation
from consent_events import EventLog
from rapport_testing.free_ports import free_port
from rapport_testing.installation import Installation
from rapport_testing.process import ServiceProcess


@dataclasses.dataclass(frozen=True)
class Rig:
    """The parts.

    Attributes:
        installation: The servers.
        service: The one process of the service; it comes back at the same address, as behind a load balancer.
        log: What the service has published; it reads each event once, however many tests look at it.
        armed: Failpoints that the service was started with.
    """

    installation: Installation
    service: ServiceProcess
    log: EventLog
    armed: set[str] = dataclasses.field(default_factory=set)

    async def running(self) -> None:
        """Have the service run without failpoints; one that does already goes on."""
        if self.armed or not self.service.is_running:
            await self.restart()

    async def restart(self, *failpoints: str) -> None:
        """Kill the service and start it with these failpoints, and no others, armed."""
        await self.stop()
        await self._start(failpoints)

    async def revive(self, *failpoints: str) -> None:
        """Wait until a failpoint has killed the service, and start it with these, and no others, armed."""
        await asyncio.to_thread(self.service.wait_killed)
        await self._start(failpoints)

    async def _start(self, failpoints: Sequence[str]) -> None:
        self.armed.clear()
        self.armed.update(failpoints)
        self.service.arm(*failpoints)
        await asyncio.to_thread(self.service.start)

    async def killed_at(self, failpoints: Sequence[str], passage: int) -> None:
        """Wait until the service was killed where it is armed, and then at each of these: it comes back without any."""
        for failpoint in failpoints:
            await self.revive(f"{failpoint}=kill@{passage}")
        await self.revive()

    async def stop(self) -> None:
        """Kill the service."""
        await asyncio.to_thread(self.service.kill)


@contextmanager
def running_rig(folder: Path, *, durable: bool) -> Iterator[Rig]:
    """Start servers and service."""
    installation = start_installation(folder, durable=durable)
    service = installation.process(grpc__port=str(free_port()))
    try:
        asyncio.run(provision(installation, ack_wait=10**9, max_deliver=1000))
        service.start()
        furnish(installation)
        yield Rig(installation, service, EventLog(installation.broker()))
        service.terminate()
    finally:
        service.kill()
        installation.stop()


async def provision(installation: Installation, **consumer_settings: int) -> None:
    """Declare the consumers with other settings, such as one that delivers again a second after its reader died."""
    broker = installation.broker()
    consumers = tuple(
        dataclasses.replace(each, config={**each.config, **consumer_settings}) for each in broker.topology.consumers
    )
    await dataclasses.replace(broker, topology=dataclasses.replace(broker.topology, consumers=consumers)).provision()
