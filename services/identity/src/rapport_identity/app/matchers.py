"""Use cases: keep matchers, let one decide without downtime, and let an earlier one decide again.

A matcher is activated at a position of the partition. From there on every process links by it: what arrives is joined
by it at once, with all that it hangs together with, and the rest is joined by it batch by batch, while everything is
served. When all are through, the partition is what this matcher makes of all records, whatever was there before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from rapport_chassis.errors import CHASSIS_ERRORS

from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.ports import DataKey
from rapport_identity.app.units import Unit, Write
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.relinking import part
from rapport_identity.domain.told import Cause

PREVIEW_HOLDS: Final = timedelta(days=1)
"""How long a preview says what an activation would move."""

AT_ONCE: Final = 64
"""Records that are joined anew in one transaction; what they hang together with comes on top."""


class MatcherOrigin(StrEnum):
    """Where a matcher's weights come from."""

    DEFAULT = "default"
    """Shipped with the service."""
    TRAINED = "trained"
    """Trained here on the records held."""
    IMPORTED = "imported"
    """Imported from a model trained elsewhere."""


@dataclass(frozen=True, slots=True)
class Activation:
    """That a matcher was let decide.

    Attributes:
        position: From which position of the partition on.
        matcher_id: The matcher.
        activated_at: When.
        activated_by: Subject of the operator; empty where the service began with it.
        reason: Why, as a code.
        pending: Records that are not joined by it yet.
    """

    position: int
    matcher_id: str
    activated_at: datetime
    activated_by: str
    reason: str
    pending: int


@dataclass(frozen=True, slots=True)
class Version:
    """A matcher as it is kept.

    Attributes:
        matcher_id: Its id.
        origin: Where its weights come from.
        sha256: Digest over all that decides.
        matcher: The weights. Frequencies are found by value, but the values cannot be listed.
        trained_on: Records it was trained on; 0 if it was not trained here.
        created_at: When it was made.
        activation: When it was let decide last; None if it never was.
        deciding: Whether it decides now.
    """

    matcher_id: str
    origin: MatcherOrigin
    sha256: bytes
    matcher: Matcher
    trained_on: int
    created_at: datetime
    activation: Activation | None
    deciding: bool


@dataclass(frozen=True, slots=True)
class Previewed:
    """How many records a matcher would move, and as of when that was computed."""

    records_moved: int
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Pending:
    """Records that are to be joined by the matcher that decides.

    Attributes:
        activation: The position of its activation.
        numbers: The records, in order.
        joined_to: The number up to which all are joined when these are.
    """

    activation: int
    numbers: tuple[int, ...]
    joined_to: int


@dataclass(frozen=True, slots=True)
class MatcherDraft:
    """A matcher made ready to be kept.

    Attributes:
        origin: Where its weights come from.
        sha256: Digest over all that decides.
        body: The weights, serialised; values under a keyed hash.
        key: The key of that hash, which the key store has committed.
        trained_on: Records it was trained on; 0 if it was not trained here.
    """

    origin: MatcherOrigin
    sha256: bytes
    body: bytes
    key: DataKey
    trained_on: int


class Matchers(Protocol):
    """Matchers, in the transaction of a unit."""

    async def draft(self, matcher: Matcher, origin: MatcherOrigin, *, trained_on: int = 0) -> MatcherDraft:
        """Make a matcher ready, before any transaction begins.

        Raises:
            RapportError: NOT_READY.
        """
        ...

    async def add(self, unit: Unit, matcher_id: str, draft: MatcherDraft) -> None:
        """Keep a matcher under an id; one that is there under it stays as it is."""
        ...

    async def get(self, unit: Unit, matcher_id: str) -> Version | None:
        """Return a matcher."""
        ...

    async def page(self, unit: Unit, after: tuple[datetime, str] | None, limit: int) -> Sequence[Version]:
        """Return matchers, the newest first, those after the given one, their frequencies left out."""
        ...

    async def decided_at(self, unit: Unit, moment: datetime) -> str:
        """Return the matcher that decided at a time; empty if none was stored by then."""
        ...

    async def activate(self, unit: Unit, matcher_id: str, *, actor: str, reason: str) -> None:
        """Let a matcher decide from the position that this unit writes."""
        ...

    async def previewed(self, unit: Unit, matcher_id: str, against: str) -> Previewed | None:
        """Return the last preview of a matcher against another."""
        ...

    async def keep_preview(self, unit: Unit, matcher_id: str, against: str, previewed: Previewed) -> None:
        """Keep what a preview found."""
        ...

    async def pending(self, unit: Unit, limit: int) -> Pending | None:
        """Return the next records that are not joined by the matcher that decides; None if all are."""
        ...

    async def joined(self, unit: Unit, pending: Pending) -> None:
        """Note that these records are joined by it."""
        ...


async def get_matcher(matchers: Matchers, unit: Unit, matcher_id: str) -> Version:
    """Return a matcher.

    Raises:
        RapportError: MATCHER_NOT_FOUND, NOT_READY.
    """
    found = await matchers.get(unit, matcher_id)
    if found is None:
        raise ERRORS.error("MATCHER_NOT_FOUND", "there is no such matcher", field="matcher_id")
    return found


async def activate(
    session: Session, matchers: Matchers, matcher_id: str, *, actor: str, reason: str, most_moved: int | None
) -> Version:
    """Let a matcher decide from here on; one that does already goes on.

    Args:
        session: The partition, locked.
        matchers: Where they are kept.
        matcher_id: The matcher, a new or an earlier one.
        actor: Subject of the operator.
        reason: Why, as a code.
        most_moved: Refuse if it would move more records than this; None for no bound.

    Raises:
        RapportError: MATCHER_NOT_FOUND, PREVIEW_NEEDED, TOO_MANY_MOVED, NOT_READY.
    """
    found = await get_matcher(matchers, session.unit, matcher_id)
    if found.deciding:
        return found
    if most_moved is not None:
        previewed = await matchers.previewed(session.unit, matcher_id, session.matcher_id)
        if previewed is None or session.head.recorded_at - previewed.as_of > PREVIEW_HOLDS:
            raise ERRORS.error("PREVIEW_NEEDED", "there is no preview of the last day against what decides now")
        if previewed.records_moved > most_moved:
            raise ERRORS.error("TOO_MANY_MOVED", "it would move more records than allowed", field="max_records_moved")
    await matchers.activate(session.unit, matcher_id, actor=actor, reason=reason)
    await session.unit.write(Write())
    return await get_matcher(matchers, session.unit, matcher_id)


async def ship(partition: Partition, matchers: Matchers, matcher_id: str, matcher: Matcher) -> None:
    """Keep the matcher of this release, and let it decide where none ever did.

    A later release that ships another one changes nothing until an operator activates it.

    Raises:
        RapportError: NOT_READY.
    """
    async with partition.units.unit() as unit:
        if await matchers.get(unit, matcher_id) is not None and (await unit.read()).matcher_id:
            return
    draft = await matchers.draft(matcher, MatcherOrigin.DEFAULT)
    async with partition.session() as session:
        await matchers.add(session.unit, matcher_id, draft)
        if not session.head.matcher_id:
            await matchers.activate(session.unit, matcher_id, actor="", reason="shipped")
            await session.unit.write(Write())


class KeepMatchers:
    """Keeps the matcher of this release, once, and then joins by the matcher that decides what is not joined by it.

    Args:
        partition: Where the records are.
        matchers: Where matchers are kept.
        shipped: The one of this release, and its id.
    """

    def __init__(self, partition: Partition, matchers: Matchers, shipped: tuple[str, Matcher]) -> None:
        self._partition = partition
        self._matchers = matchers
        self._shipped: tuple[str, Matcher] | None = shipped
        self._take_over = TakeOver(partition, matchers)

    async def check(self) -> None:
        """Return once the matcher of this release is kept.

        Raises:
            RapportError: NOT_READY.
        """
        if self._shipped is not None:
            raise CHASSIS_ERRORS.error("NOT_READY", "the matcher that ships has not been stored yet")

    async def step(self) -> bool:
        """Do some of it, and return whether there was anything to do.

        Raises:
            RapportError: NOT_READY.
        """
        if self._shipped is not None:
            await ship(self._partition, self._matchers, *self._shipped)
            self._shipped = None
        return await self._take_over.step()


class TakeOver:
    """Joins all records by the matcher that decides, some at a time; several processes may do so at once.

    Args:
        partition: Where the records are.
        matchers: Knows which are not joined yet.
        at_once: How many in one transaction.
    """

    def __init__(self, partition: Partition, matchers: Matchers, *, at_once: int = AT_ONCE) -> None:
        self._partition = partition
        self._matchers = matchers
        self._at_once = at_once

    async def step(self) -> bool:
        """Join some records, and return whether there were any.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._partition.units.unit() as unit:
            coming = await self._matchers.pending(unit, self._at_once)
        if coming is None:
            return False
        for number in coming.numbers:  # what takes longest is done before anybody is kept out, others coming between
            async with self._partition.still() as replica:
                if number in replica.index:
                    part(replica.index, replica.index[number], replica.bonds)
            await asyncio.sleep(0)
        async with self._partition.session() as session:
            pending = await self._matchers.pending(session.unit, self._at_once)
            if pending is None:
                return False
            session.replica.index.touch(pending.numbers)
            await session.finish(Cause.MATCHER_CHANGE)
            await self._matchers.joined(session.unit, pending)
        return True
