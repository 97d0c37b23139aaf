"""Use case: train a model on the events of whoever may be profiled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from rapport_chassis.clock import Clock
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_privacy.permits import Permits
from rapport_privacy.replica import Replica
from rapport_privacy.vocabulary import Answer

from rapport_churn.app.times import micros_of

_AT_ONCE: Final = 1000

Report = Callable[[str, int, int], Awaitable[None]]
"""Is told the phase, how much of it is done, and how much there is."""


class Snapshot(NamedTuple):
    """The event log, written down to learn from.

    Attributes:
        epoch: The log's present life.
        position: The log is in it up to here.
        profile_ids: Whom facts name.
    """

    epoch: str
    position: int
    profile_ids: Sequence[str]


class Made(NamedTuple):
    """A model that was trained.

    Attributes:
        files: Its artefact.
        snapshot: What it learned from.
        ledger_epoch: Life of the consent ledger at that time.
        ledger_position: Who had withdrawn up to here is not in it.
        judged: The newest window it was judged on, as `Judged` writes it; empty for none. It goes into no artefact.
    """

    files: Mapping[str, bytes]
    snapshot: Snapshot
    ledger_epoch: str
    ledger_position: int
    judged: bytes = b""


class Workshop(Protocol):
    """Where models are made: a folder that outlives a kill, and a process of its own."""

    async def write_down(self, work: str) -> Snapshot:
        """Write the event log down; what was written down for this work before is taken again.

        Raises:
            RapportError: NOT_READY.
        """
        ...

    async def train(self, work: str, header: Mapping[str, Any], report: Report) -> tuple[Mapping[str, bytes], bytes]:
        """Train, and return the files of the artefact, and the newest window it was judged on.

        What an earlier attempt has finished is not done again, unless it was about other people.

        Raises:
            RapportError: NOT_TRAINABLE, TRAINING_UNAVAILABLE, INTERNAL.
        """
        ...

    async def clear(self, work: str) -> None:
        """Leave nothing behind."""
        ...


@dataclass(frozen=True)
class TrainModel:
    """Trains models.

    Attributes:
        workshop: Where.
        permits: The gate.
        replica: What it answers from.
        clock: The time.
        purpose_id: The purpose of profiling.
        brand_id: The brand it is asked for.
        effort: How much is tried, by name.
    """

    workshop: Workshop
    permits: Permits
    replica: Replica
    clock: Clock
    purpose_id: str
    brand_id: str
    effort: Mapping[str, int]

    async def __call__(
        self,
        work: str,
        *,
        seed: int,
        as_of: datetime | None,
        arrival_assumed_before: datetime | None,
        report: Report,
        like: Mapping[str, object] | None = None,
    ) -> Made:
        """Return a model trained on the events held of whoever may be profiled now.

        Args:
            work: Names the work; under the same name it is gone on with.
            seed: Of all chance.
            as_of: What has arrived by then is known; None for now.
            arrival_assumed_before: What arrived before was loaded from history; None for nothing.
            report: Is told how far it has come.
            like: Settings of trees to take instead of searching, and their rounds.

        Raises:
            RapportError: NOT_TRAINABLE, TRAINING_UNAVAILABLE, NOT_READY, INTERNAL.
        """
        at = as_of or self.clock.now()
        await report("reading", 0, 0)
        snapshot = await self.workshop.write_down(work)
        # Asked after the log was read: who has withdrawn meanwhile is left out, and who withdraws later is found by
        # the position when the model is to serve.
        epoch, position = self.replica.epoch, self.replica.position
        redirects, denied = await self._judge(snapshot.profile_ids)
        header = {
            "as_of": micros_of(at),
            "seed": seed,
            "arrival_assumed_before": micros_of(arrival_assumed_before) if arrival_assumed_before else 0,
            "redirects": redirects,
            "erased": denied,
            "effort": dict(self.effort),
            "like": like,
        }
        files, judged = await self.workshop.train(work, header, report)
        return Made(files, snapshot, epoch, position, judged)

    async def _judge(self, profile_ids: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """Return who stands for whom, and who must be left out.

        Raises:
            RapportError: NOT_READY: the gate does not know freshly enough.
        """
        redirects: dict[str, str] = {}
        denied: list[str] = []
        for at, profile_id in enumerate(profile_ids):
            if at % _AT_ONCE == 0:
                await asyncio.sleep(0)  # others are answered in between
            decision = self.permits.check(profile_id, self.purpose_id, brand_id=self.brand_id)
            if decision.answer == Answer.DENY_STALE:
                raise CHASSIS_ERRORS.error("NOT_READY", "the gate does not know freshly enough who may be learned from")
            if decision.profile_id != profile_id:
                redirects[profile_id] = decision.profile_id
            if not decision.permitted:
                denied.append(profile_id)
        return redirects, denied
