"""Touchpoints on their way in, what becomes of them, and where that is kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from rapport_identity.app.stored import SourceKey
from rapport_identity.app.units import Unit
from rapport_identity.domain.permission import Verdict
from rapport_identity.domain.sightings import Sighted
from rapport_identity.domain.touchpoints import Touchpoint


@dataclass(frozen=True, slots=True)
class RawTouchpoint:
    """A touchpoint as its source saw it.

    Attributes:
        event: What it is called there.
        identifiers: Those of its identifiers that name somebody.
        touchpoint: What happened.
    """

    event: SourceKey
    identifiers: tuple[Sighted, ...]
    touchpoint: Touchpoint


class Outcome(StrEnum):
    """What became of a touchpoint."""

    RECORDED = "recorded"
    RECORDED_IN_PART = "recorded_in_part"
    """Without what only the refused purposes would have needed."""
    REFUSED = "refused"
    """No purpose permits collecting it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A purpose that a touchpoint is not kept for: the gate's answer, or None if its type does not declare it."""

    purpose_id: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a touchpoint; fact and profile are empty if it was refused.

    Attributes:
        outcome: What was done.
        recorded_at: When that was, the first time it came.
        fact_id: The fact that it is told as.
        profile_id: Whose it is.
        refusals: Purposes it is not kept for.
        known: Whether it was taken in before.
        unlinked: Whether its devices and cookies were not linked to the person, because that was not permitted.
    """

    outcome: Outcome
    recorded_at: datetime
    fact_id: str = ""
    profile_id: str = ""
    refusals: tuple[Refusal, ...] = ()
    known: bool = False
    unlinked: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """A touchpoint as it is recorded.

    Attributes:
        fact_id: Its id.
        record_no: The record that it came under.
        profile_id: Whose it is.
        owner_version: Version of that profile.
        touchpoint: What happened.
        permits: The gate's answer for each purpose that it may serve.
        recorded_at: When it is recorded.
        undecided: Purposes that the gate could not say anything of.
    """

    fact_id: str
    record_no: int
    profile_id: str
    owner_version: int
    touchpoint: Touchpoint
    permits: Mapping[str, Verdict]
    recorded_at: datetime
    undecided: tuple[str, ...] = ()


class Answered(NamedTuple):
    """An answer given before, of no profile, and the record that its fact came under; None if it was refused."""

    ingested: Ingested
    record_no: int | None


class Facts(Protocol):
    """Where facts, and the answers to their sources, are kept: within a transaction on the partition."""

    async def answered(self, unit: Unit, events: Collection[SourceKey]) -> Mapping[SourceKey, Answered]:
        """Return what those of the events that were taken in before were answered; to be asked under the lock."""
        ...

    async def seen_together(self, unit: Unit, record_nos: Collection[int]) -> Mapping[int, Sequence[Sighted]]:
        """Return the identifiers that sightings hold, as their sources had them."""
        ...

    async def record(
        self, unit: Unit, position: int, facts: Sequence[Fact], answers: Sequence[tuple[SourceKey, Ingested]]
    ) -> None:
        """Write facts, tell of them, and remember what their sources are answered."""
        ...
