"""Gates embedded in other processes, fed by a real service and a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from consent_desk import CONSENT
from rapport_privacy.decision import Decision
from rapport_privacy.embedded import ConsentGate
from rapport_privacy.settings import GateProcessSettings, GateSettings
from rapport_privacy.vocabulary import Answer, Reason
from rapport_testing.installation import Installation, tls_files
from rapport_testing.waiting import eventually

HOLDERS = CONSENT.gates
"""Who holds a gate."""


def gate_settings(
    installation: Installation, holder: str = HOLDERS[0], *, process: str = "service", **settings: Any
) -> GateSettings:
    """How a holder's gate reaches the ledger; `nats=None` leaves the broker out."""
    values = {
        "name": holder,
        "tls": tls_files(installation.certificate(holder)),
        "consent": installation.address(process),
        "server_name": "localhost",
        "nats": installation.nats.url,
    }
    return GateSettings.model_validate(values | settings)


@asynccontextmanager
async def open_gate(
    installation: Installation, holder: str = HOLDERS[0], *, process: str = "service", **settings: Any
) -> AsyncIterator[ConsentGate]:
    """Embed a gate in this process, fresh and listening."""
    installation.grant(holder, ["consent.replica.read", "consent.checks.read"])
    made = GateProcessSettings(gate=gate_settings(installation, holder, process=process, **settings))
    async with ConsentGate.open(made) as gate:
        await asyncio.wait_for(gate.ready(), 30)
        if gate.stream is not None:
            await asyncio.wait_for(gate.stream.until_listening(), 30)
        yield gate


def verdict(decision: Decision) -> str:
    """Answer and reason, such as "PERMIT GRANTED"."""
    return f"{Answer(decision.answer).name} {Reason(decision.reason).name}"


async def becomes(
    expected: str, gate: ConsentGate, person: str, purpose: str, brand: str = "", *, within_s: float = 10.0
) -> None:
    """Wait until a gate answers so."""

    def known() -> bool:
        found = verdict(gate.check(person, purpose, brand_id=brand))
        assert found == expected
        return True

    await eventually(known, timeout_s=within_s, interval_s=0.005)
