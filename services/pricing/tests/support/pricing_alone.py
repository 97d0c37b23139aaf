"""A service that a test has to itself: its servers may be stopped, and it may be killed at any step."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pricing_desk import Desk, furnish
from pricing_installation import start_installation
from rapport_testing.free_ports import free_port


class Alone:
    """Servers, and a process of the service that comes back at the same address.

    Args:
        folder: Where everything lives.

    Attributes:
        installation: The servers.
    """

    def __init__(self, folder: Path) -> None:
        self.installation = start_installation(folder)
        self._service = self.installation.process(grpc__port=str(free_port()))
        self._failpoints: tuple[str, ...] = ()

    def start(self) -> None:
        """Start the process for the first time.

        Not to be called in a thread in which an event loop runs.
        """
        self._service.start()
        furnish(self.installation)

    def stop(self) -> None:
        """End everything."""
        self._service.kill()
        self.installation.stop()

    def mend(self) -> None:
        """Have a process again that runs and is not going to end, whatever a test that failed has left."""
        if self._failpoints or not self._service.is_running:
            self._again()

    async def restarted(self, desk: Desk, *failpoints: str) -> None:
        """End the process and start it with these failpoints."""
        await asyncio.to_thread(self._again, *failpoints)
        await desk.until_ready()

    async def revived(self, desk: Desk, *failpoints: str) -> None:
        """Wait until the process has ended at a failpoint, and start it, with others or none."""
        await asyncio.to_thread(self._service.wait_killed)
        await self.restarted(desk, *failpoints)

    def _again(self, *failpoints: str) -> None:
        self._service.kill()
        self._failpoints = failpoints
        self._service.arm(*failpoints)
        self._service.start()
