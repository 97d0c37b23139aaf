"""Gates embedded in other processes, fed by a real service and a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rapport_privacy.embedded import ConsentGate
from rapport_privacy.settings import GateProcessSettings, GateSettings
from rapport_testing.installation import Installation, tls_files

HOLDERS = ("churn", "pricing", "notification")
"""Who holds a gate: services that the broker knows already."""


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
