"""Certificates and authorities change while calls are made."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.rpc.tls import TlsMaterial
from rapport_testing.waiting import eventually

_WORKERS = 8


class Load:
    """Calls without pause, over several clients, until told to stop; keeps count of what failed."""

    def __init__(self, probe: Any) -> None:
        self._probe = probe
        self._stubs = [probe.stub() for _ in range(2)]
        self._stopping = False
        self.answered = 0
        self.failed: list[Exception] = []

    async def _work(self, number: int) -> None:
        stub = self._stubs[number % len(self._stubs)]
        while not self._stopping:
            try:
                await stub.Write(self._probe.new(text=str(number)))
            except RemoteError as error:
                self.failed.append(error)
            self.answered += 1

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._work(number)) for number in range(_WORKERS)]
        await self.goes_on()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def goes_on(self) -> None:
        """Wait until many more calls were answered."""
        goal = self.answered + 20 * _WORKERS
        await eventually(lambda: self.answered >= goal, timeout_s=30)


def reloads(probe: Any) -> int:
    """How often TLS files have been read again, by the server or by a client."""
    return sum('"file":"tls"' in line for line in probe.log.getvalue().splitlines())


def reloaded(probe: Any, times: int) -> bool:
    return reloads(probe) >= times


async def test_leaves_and_authorities_rotate_twice_under_load_without_a_failed_call(probe: Any) -> None:
    """`Write` is never retried, so a single refused connection would show."""
    seen_by_server: set[bytes] = set()

    async def note(request: Any, context: Any) -> Any:
        seen_by_server.add(context.auth_context()["x509_pem_cert"][0])
        return request

    probe.servicer.behaviours["Write"] = note
    authority = probe.authority

    async def renew_leaves() -> None:
        for name in ("server", "caller"):
            authority.issue(name)
        certificate = TlsMaterial.read(probe.tls("caller")).certificate
        await eventually(lambda: certificate in seen_by_server, timeout_s=30)
        await load.goes_on()

    async with Load(probe) as load:
        for _ in range(2):
            await renew_leaves()
            expected = reloads(probe) + len(("server", "client", "client"))
            authority.rotate_authority()
            await eventually(partial(reloaded, probe, expected), timeout_s=30)
            await renew_leaves()
            authority.retire_previous()
            await load.goes_on()
    assert load.failed == []
    assert len(seen_by_server) == 1 + 2 * 2
    with pytest.raises(RemoteError, match="UNAVAILABLE"):  # its certificate is of the first authority
        await probe.stub("stranger").Write(probe.new())
