"""A gate in any process: put together, started, and asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Final, Literal

from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.rpc.client import Client
from rapport_chassis.telemetry.setup import Telemetry

from rapport_privacy.authority import RemoteAuthority, is_stale
from rapport_privacy.decision import Decision
from rapport_privacy.follower import Follower, Timing
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.gate_watch import GateWatch
from rapport_privacy.permits import Position
from rapport_privacy.replica import Replica
from rapport_privacy.settings import GateProcessSettings, GateSettings
from rapport_privacy.sources import RemoteLedger
from rapport_privacy.stream import LedgerStream

_LOOK_EVERY_S: Final = 0.02


class ConsentGate:
    """The gate with everything that feeds it. It is one component: a service lists it in its assembly.

    Nothing of it needs the consent service or NATS to be there: what it does not know is denied until it does. All of
    it belongs to the event loop it is started in; `check` blocks on nothing.

    Args:
        settings: Where the ledger is.
        telemetry: Records calls, lag and staleness.
        nats: The connection of the process, if it has one; else the gate makes its own where the settings name NATS.
        clock: The time.
        observe: Is told of each change that comes, also of one that is only kept until those before it have come, and
            of one that is known; it must be quick. What a snapshot holds is not told: `replica.generation` rises then.

    Attributes:
        gate: Decides.
        replica: What it decides from.
        stream: Feeds the replica as changes are published; None without NATS.
        watch: Its `check` is a health check: whether the ledger has been loaded.
    """

    name = "consent-gate"
    role: Literal["all"] = "all"

    def __init__(
        self,
        settings: GateSettings,
        *,
        telemetry: Telemetry,
        nats: NatsConnection | None = None,
        clock: Clock | None = None,
        observe: Callable[[ledger_pb2.LedgerChange], object] | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._client = Client(settings.client(), telemetry=telemetry)
        self._freshness = Freshness(bound_s=settings.bound_s, continuation_s=settings.continuation_s)
        self.replica = Replica()
        self.gate = Gate(self.replica, self._freshness, self._clock)
        self.watch = GateWatch(self.gate, self.replica, telemetry.meter, self._clock)
        self._authority = RemoteAuthority(self._client, self._clock, deadline_s=min(settings.ask_s, settings.bound_s))

        broker = settings.broker()
        self._own_nats = None
        if nats is None and broker is not None:
            nats = self._own_nats = NatsConnection(broker, user=settings.name, clock=self._clock)
        ledger = RemoteLedger(self._client, head_s=settings.bound_s)
        timing = Timing(head_every_s=settings.head_every_s)
        self.stream = None if nats is None else LedgerStream(nats, self._take, self._clock)
        self._follower = Follower(
            self.replica,
            self._freshness,
            heads=ledger,
            changes=ledger,
            snapshots=ledger,
            clock=self._clock,
            timing=timing if nats is not None else replace(timing, fill_after_s=0.0),
            report=self.watch.report,
            observe=observe,
            is_pushed=self._is_pushed,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: GateProcessSettings | None = None, *, clock: Clock | None = None
    ) -> AsyncIterator[ConsentGate]:
        """Run a gate for as long as the context lasts, with telemetry of its own; it is cold when this returns.

        Args:
            settings: By default those in the environment variables.
            clock: The time.

        Raises:
            pydantic.ValidationError: A setting is missing or wrong.
            OSError: The TLS files cannot be read.
            ValueError: They do not fit together.
        """
        settings = settings or GateProcessSettings()
        telemetry = Telemetry.start(
            settings.telemetry,
            service=settings.gate.name,
            version=version("rapport-privacy"),
            environment=settings.environment,
        )
        gate = cls(settings.gate, telemetry=telemetry, clock=clock)
        await gate.start()
        try:
            yield gate
        finally:
            await gate.stop()
            await asyncio.to_thread(telemetry.shutdown)

    def _take(self, change: ledger_pb2.LedgerChange) -> None:
        self._follower.offer(change)

    def _is_pushed(self) -> bool:
        return self.stream is not None and self.stream.is_listening

    async def start(self) -> None:
        """Begin to follow the ledger, in the background."""
        # The stream first: what is published while the snapshot is on its way must not be missed.
        if self._own_nats is not None:
            await self._own_nats.start()
        if self.stream is not None:
            await self.stream.start()
        await self._follower.start()
        await self.watch.start()

    async def stop(self) -> None:
        """Stop following, and let go of the connections."""
        await self.watch.stop()
        await self._follower.stop()
        if self.stream is not None:
            await self.stream.stop()
        if self._own_nats is not None:
            await self._own_nats.stop()
        await self._client.close()

    @property
    def is_fresh(self) -> bool:
        """Whether the gate knows, at this moment, all it needs to answer for every purpose."""
        return self.replica.warm and self._clock.boottime() < self._freshness.fresh_until

    async def ready(self) -> None:
        """Return once the gate is fresh: the ledger is loaded, and known up to its head."""
        while not self.is_fresh:
            await self._clock.sleep(_LOOK_EVERY_S)

    def check(
        self,
        profile_id: str,
        purpose_id: str,
        *,
        brand_id: str = "",
        market: str = "",
        data_category: str = "",
        at_least: Position | None = None,
    ) -> Decision:
        """Answer whether an effect is allowed now; see `Gate.check`.

        Raises:
            RapportError: BRAND_REQUIRED: a brand must be named for this purpose.
        """
        return self.gate.check(
            profile_id, purpose_id, brand_id=brand_id, market=market, data_category=data_category, at_least=at_least
        )

    async def ask(
        self,
        profile_id: str,
        purpose_id: str,
        *,
        brand_id: str = "",
        market: str = "",
        data_category: str = "",
        at_least: Position | None = None,
    ) -> Decision:
        """Answer as `check` does, and where that is DENY_STALE ask the ledger itself, for `ask_s` seconds at most.

        The answer of the ledger is as fresh as the call is short; like any other it is worth nothing later.

        Raises:
            RapportError: BRAND_REQUIRED: a brand must be named for this purpose.
        """

        def own() -> Decision:
            return self.gate.check(
                profile_id, purpose_id, brand_id=brand_id, market=market, data_category=data_category, at_least=at_least
            )

        decision = own()
        if not is_stale(decision):
            return decision
        entry = consent_pb2.CheckEntry(
            profile_id=profile_id, purpose_id=purpose_id, brand_id=brand_id, market=market, data_category=data_category
        )
        answered = await self._authority.check(entry, at_least)
        # The gate may have come to know more meanwhile: a fence above all.
        decision = own()
        return decision if answered is None or not is_stale(decision) else answered
