"""Certificates change while everybody is at work, and nobody notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from consent_desk import OFFICE, ROLES, Desk, answers, entry, open_desk, profile, verdict
from consent_events import EventLog
from consent_rig import Rig
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.installation import OBSERVER
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.heavy

BETWEEN_S = 0.01


class Traffic:
    """Checks and writes all the time, over one client, and over a new client for each call, which shakes hands anew.

    Imports are never retried: a single refused connection would show.
    """

    def __init__(self, rig: Rig, desk: Desk) -> None:
        self._installation = rig.installation
        self._desk = desk
        self._stopping = False
        self.answered = 0
        self.failed: list[Exception] = []

    async def __aenter__(self) -> Traffic:
        workers = [self._check, self._write, self._shake_hands]
        self._tasks = [asyncio.create_task(self._work(worker)) for worker in workers]
        await self.goes_on()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def goes_on(self) -> None:
        """Wait until many more calls were answered."""
        goal = self.answered + 30
        await eventually(lambda: self.answered >= goal, timeout_s=30)

    async def _work(self, worker: Any) -> None:
        while not self._stopping:
            try:
                await worker()
            except RemoteError as error:
                self.failed.append(error)
            self.answered += 1
            await asyncio.sleep(BETWEEN_S)

    async def _check(self) -> None:
        request = consent_pb2.CheckConsentRequest(entry=entry(profile(), "order"))
        assert verdict(await self._desk.shop.CheckConsent(request)) == "PERMIT BASIS"

    async def _write(self) -> None:
        await self._desk.shop.RecordConsent(answers(profile(), "yes promo"))

    async def _shake_hands(self) -> None:
        client = self._installation.client(OFFICE)
        try:
            await client.stub(consent_pb2_grpc.ConsentServiceStub).GetLedgerHead(consent_pb2.GetLedgerHeadRequest())
        finally:
            await client.close()


async def test_authority_and_leaves_rotate_twice_under_load_without_a_failed_call(rig: Rig) -> None:
    await rig.running()
    installation, authority = rig.installation, rig.installation.authority

    def times_read() -> int:
        """How often the service has read its TLS files again, as it logs."""
        return rig.service.logs().count('"file":"tls"')

    async def taken_up(change: Callable[[], None]) -> None:
        before = times_read()
        change()
        await asyncio.to_thread(installation.nats.reload)
        await eventually(lambda: times_read() > before, timeout_s=30)
        await traffic.goes_on()

    def renew_leaves() -> None:
        for certificate in authority.folder.glob("*/tls.crt"):
            authority.issue(certificate.parent.name)

    async with open_desk(installation) as desk:
        await desk.until_serving(*ROLES)
        installation.certificate(OBSERVER)
        async with Traffic(rig, desk) as traffic:
            for _ in range(2):
                await taken_up(renew_leaves)
                await taken_up(authority.rotate_authority)
                await taken_up(renew_leaves)
                await taken_up(authority.retire_previous)
        assert traffic.failed == []
        await desk.until_serving(*ROLES)
        await EventLog(installation.broker()).until((await desk.head()).position)
