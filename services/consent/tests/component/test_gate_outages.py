"""What a gate in another process does while broker or service are away: it denies what it cannot know, and recovers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from consent_desk import Desk, open_desk, profile
from consent_gates import HOLDERS, becomes, gate_settings, open_gate, verdict
from consent_rig import Rig
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.settings import GateProcessSettings
from rapport_testing.capture import LogCapture
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.heavy


@pytest.fixture
async def desk(rig: Rig) -> AsyncIterator[Desk]:
    """Where the service of the rig is called from."""
    async with open_desk(rig.installation) as made:
        yield made


async def test_decisions_go_on_and_withdrawals_arrive_without_the_broker(rig: Rig, desk: Desk) -> None:
    staying, leaving = profile(), profile()
    for person in (staying, leaving):
        await desk.answer(person, "yes promo")
    async with open_gate(rig.installation) as gate:
        assert gate.stream is not None
        await asyncio.to_thread(rig.installation.nats.kill)
        try:
            await desk.withdraw(leaving, "promo")
            await becomes("DENY WITHDRAWN", gate, leaving, "promo")
            assert verdict(gate.check(staying, "promo")) == "PERMIT GRANTED"
        finally:
            await asyncio.to_thread(rig.installation.nats.start)
        await asyncio.wait_for(gate.stream.until_listening(), 30)
        await desk.withdraw(staying, "promo")
        await becomes("DENY WITHDRAWN", gate, staying, "promo")


async def test_without_the_service_consent_denies_within_the_bound_and_contract_goes_on(rig: Rig, desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes promo")
    async with open_gate(rig.installation) as gate:
        await rig.stop()
        died_at = asyncio.get_running_loop().time()
        await becomes("DENY_STALE STALE", gate, person, "promo")
        assert asyncio.get_running_loop().time() - died_at < 2.0 + 0.5
        assert verdict(gate.check(person, "order")) == "PERMIT BASIS"
        assert verdict(await gate.ask(person, "promo")) == "DENY_STALE STALE"
        await asyncio.to_thread(rig.service.start)
        await becomes("PERMIT GRANTED", gate, person, "promo", within_s=20)


async def test_service_that_hangs_makes_stale_and_is_believed_again_when_it_answers(rig: Rig, desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes promo")
    async with open_gate(rig.installation) as gate:
        rig.service.suspend()
        try:
            await becomes("DENY_STALE STALE", gate, person, "promo")
            assert verdict(await gate.ask(person, "promo")) == "DENY_STALE STALE"
        finally:
            rig.service.resume()
        await becomes("PERMIT GRANTED", gate, person, "promo", within_s=20)


async def test_gate_that_starts_before_the_service_denies_everything_until_it_is_there(rig: Rig, desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes promo")
    rig.installation.grant(HOLDERS[0], ["consent.replica.read"])
    settings = gate_settings(rig.installation)
    await rig.stop()
    try:
        async with ConsentGate.open(GateProcessSettings(gate=settings)) as gate:
            for purpose in ("promo", "order", "books"):
                assert verdict(gate.check(person, purpose)) == "DENY_STALE COLD"
            await asyncio.to_thread(rig.service.start)
            await asyncio.wait_for(gate.ready(), 30)
            assert verdict(gate.check(person, "promo")) == "PERMIT GRANTED"
    finally:
        if not rig.service.is_running:
            await asyncio.to_thread(rig.service.start)


async def test_what_a_stale_gate_does_not_know_the_ledger_is_asked(rig: Rig, desk: Desk) -> None:
    """Its head is read once an hour, so that it is stale soon and stays so."""
    granted, withdrawn = profile(), profile()
    await desk.answer(withdrawn, "yes promo")
    recorded = await desk.answer(granted, "yes promo", "yes news north")
    async with open_gate(rig.installation, head_every_s=3600, bound_s=1.0, nats=None) as gate:
        await becomes("DENY_STALE STALE", gate, granted, "promo")
        await desk.withdraw(withdrawn, "promo")
        permitted = await gate.ask(granted, "promo")
        assert verdict(permitted) == "PERMIT GRANTED"
        assert permitted.reference == recorded.entries[0].reference
        assert permitted.position > gate.check(granted, "promo").position
        assert verdict(await gate.ask(withdrawn, "promo")) == "DENY WITHDRAWN"
        assert verdict(await gate.ask(granted, "news", brand_id="north")) == "PERMIT GRANTED"
        assert verdict(await gate.ask(granted, "no-such-purpose")) == "DENY_UNKNOWN UNKNOWN_PURPOSE"
        assert verdict(await gate.ask("not-an-id", "promo")) == "DENY_STALE STALE"
        assert verdict(gate.check(granted, "promo")) == "DENY_STALE STALE"


async def test_gate_that_may_not_read_the_ledger_says_so_stays_cold_and_asks(
    rig: Rig, desk: Desk, log_capture: LogCapture
) -> None:
    person = profile()
    await desk.answer(person, "yes promo")
    rig.installation.grant(HOLDERS[2], ["consent.checks.read"])
    settings = gate_settings(rig.installation, HOLDERS[2])
    async with ConsentGate.open(GateProcessSettings(gate=settings)) as gate:

        async def permitted() -> bool:
            return verdict(await gate.ask(person, "promo")) == "PERMIT GRANTED"

        await eventually(permitted)
        assert verdict(gate.check(person, "promo")) == "DENY_STALE COLD"
        await eventually(lambda: "PERMISSION_DENIED" in [each["reason"] for each in log_capture.named("ledger")])
