"""The partition of this process: what it knows by heart, and the one way in which it is changed."""

from __future__ import annotations

import asyncio
import gc
from collections import ChainMap
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rapport_chassis.errors import CHASSIS_ERRORS

from rapport_identity.app.deciding import Decided, Telling, decide
from rapport_identity.app.replica import Replica, Trial
from rapport_identity.app.units import Loader, Position, Unit, Units, Write
from rapport_identity.domain.errors import ERRORS
from rapport_identity.domain.facets import Facet
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.told import Cause

FROZEN_S: Final = 3600.0
"""After how many seconds to try again what a privacy request holds up: it takes hours or days, never moments."""

_GROWN: Final = 1000
"""Records that may come, beside a tenth of all, before the garbage collector is told to leave them alone."""


_QUIET_S: Final = 1.0
"""After how long without a write nobody is kept waiting by what can be done later."""


class Token(NamedTuple):
    """Freshness token: whatever knows the partition up to here knows the write."""

    epoch: str
    position: int


@dataclass(slots=True)
class Session:
    """The partition, locked, between what others wrote and what this transaction writes.

    Attributes:
        unit: The transaction.
        replica: As of the head; until the commit it does not know what is decided here.
        trial: Changes to its index and bonds, taken back unless they are committed.
        head: The position before the one that is written.
        matcher_id: The matcher that decides.
        facets: What others may know of the records that came or changed.
        write: All that is written.
        decided: What it made of the profiles; None before `finish`.
    """

    unit: Unit
    replica: Replica
    trial: Trial
    head: Position
    matcher_id: str
    facets: dict[int, Facet] = field(default_factory=dict)
    write: Write = field(default_factory=Write)
    decided: Decided | None = None
    _owners: dict[int, str] = field(default_factory=dict)
    _came: dict[str, list[int]] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)

    @property
    def token(self) -> Token:
        """Where this session's write is; without one, what it has seen."""
        return Token(self.head.epoch, self.head.position + (self.decided is not None))

    def owner(self, number: int) -> str:
        """Return the profile of a record, as decided here.

        Raises:
            KeyError: It has none.
        """
        return self._owners.get(number) or self.replica.owners[number]

    def version(self, profile_id: str) -> int:
        """Return the version of a profile that its own id stands for, as decided here."""
        return self._versions.get(profile_id) or self.replica.versions[profile_id]

    def members(self, profile_id: str) -> tuple[int, ...]:
        """Return the records of a profile, as decided here, in order."""
        held = (each for each in self.replica.members.get(profile_id, ()) if self.owner(each) == profile_id)
        return tuple(sorted({*held, *self._came.get(profile_id, ())}))

    async def finish(self, cause: Cause) -> None:
        """Link what was touched anew, and write all of it: once, as the last change of a session."""
        revised = frozenset(number for number in self.facets if number in self.replica.owners)
        decided = await decide(self.unit, self.replica, revised)
        Telling(decided, ChainMap(self.facets, self.replica.facets), self.matcher_id, cause).into(self.write)
        self._owners = {step.number: step.to_id for step in decided.change.steps}
        for number, owner in self._owners.items():
            self._came.setdefault(owner, []).append(number)
        self._versions = {each.profile_id: each.version for each in (*self.write.created, *self.write.changed)}
        self.write.added = [(number, self._owners[number], draft, key) for number, _, draft, key in self.write.added]
        self.decided = decided
        await self.unit.write(self.write)

    def commit(self) -> None:
        """Have the replica know what was decided, now that it is durable."""
        if self.decided is None:
            return
        replica, redirects = self.replica, self.write.redirects
        replica.facets.update(self.facets)
        for step in self.decided.change.steps:
            replica.assign(step.number, step.to_id)
        for each in (absorbed for merge in self.decided.change.merges for absorbed in merge.absorbed_ids):
            replica.versions.pop(each, None)
        for profile_id, version in self._versions.items():
            if redirects.get(profile_id, profile_id) == profile_id:
                replica.versions[profile_id] = version
        replica.position = self.head.position + 1


class Partition:
    """The replica of this process, and the one way in which it is written through.

    Args:
        units: Opens transactions.
        loader: Reads everything.
        matcher: The one that ships, which decides until one is stored.
        matcher_id: Its id.
    """

    def __init__(self, units: Units, loader: Loader, matcher: Matcher, matcher_id: str) -> None:
        self.units = units
        self._loader = loader
        self._shipped = matcher, matcher_id
        self._replica: Replica | None = None
        self._lock = asyncio.Lock()
        self._kept = 0
        self._used_at = 0.0

    @property
    def replica(self) -> Replica:
        """What this process knows.

        Raises:
            RapportError: NOT_READY: it was not read yet.
        """
        if self._replica is None:
            raise CHASSIS_ERRORS.error("NOT_READY", "the partition has not been read yet")
        return self._replica

    @property
    def matcher_id(self) -> str:
        """The matcher that decides.

        Raises:
            RapportError: NOT_READY.
        """
        return self.replica.matcher_id

    @asynccontextmanager
    async def still(self) -> AsyncIterator[Replica]:
        """Give what this process knows while nothing is on trial in it.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._lock:
            yield self.replica

    def is_quiet(self) -> bool:
        """Whether nobody has written through this process for a while."""
        return not self._lock.locked() and asyncio.get_running_loop().time() - self._used_at > _QUIET_S

    @property
    def token(self) -> Token:
        """How much this process knows.

        Raises:
            RapportError: NOT_READY.
        """
        return Token(self.replica.epoch, self.replica.position)

    async def load(self) -> None:
        """Read everything, as when a process starts.

        Raises:
            RapportError: NOT_READY.
        """
        gc.disable()  # nothing that is read is garbage, and to look for some takes as long as to read it
        try:
            self._replica = await Replica.load(*self._shipped, self.units, self._loader)
        finally:
            gc.enable()
        self._keep()

    def _keep(self) -> None:
        """Have the garbage collector pass over the index from now on.

        None of it is garbage, and to look through all of it stops the process for a second per 100,000 records.
        """
        gc.freeze()
        self._kept = len(self.replica.index)

    async def refresh(self) -> None:
        """Follow what other processes wrote, so that what is read here is not older than this call.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._lock:
            async with self.units.unit() as unit:
                if await self.replica.catch_up(unit, await unit.read()):
                    return
            await self.load()

    async def know(self, token: Token) -> None:
        """See that what is read here knows a write.

        Raises:
            RapportError: TOKEN_UNMET: the write was of another life of the partition, or has not happened.
                NOT_READY.
        """
        if self._knows(token):
            return
        await self.refresh()
        if not self._knows(token):
            raise ERRORS.error("TOKEN_UNMET", "the partition does not hold the position asked for", field="at_least")

    def _knows(self, token: Token) -> bool:
        known = self.token
        return token.epoch == known.epoch and token.position <= known.position

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Give a locked partition; whatever fails, in here or at the commit, leaves the replica as it was.

        Raises:
            RapportError: NOT_READY. If the COMMIT was on its way, its outcome is unknown: a repeat is answered.
        """
        async with self._lock:
            session = None
            while session is None:
                replica = self.replica
                trial = Trial(replica)
                try:
                    async with self.units.unit() as unit:
                        head = await unit.lock()
                        if await replica.catch_up(unit, head):
                            session = Session(unit, replica, trial, head, replica.matcher_id)
                            yield session
                except BaseException:
                    trial.take_back()
                    raise
                if session is None:  # another life began, which has to be committed before anybody can read it
                    await self.load()
            session.commit()
            self._used_at = asyncio.get_running_loop().time()
            if len(session.replica.index) > self._kept * 1.1 + _GROWN:
                self._keep()


async def current_ids(unit: Unit, issued_ids: Collection[str]) -> dict[str, str]:
    """Return what each id stands for now.

    Raises:
        RapportError: PROFILE_NOT_FOUND.
    """
    current = await unit.current(issued_ids)
    if len(current) < len(set(issued_ids)):
        raise ERRORS.error("PROFILE_NOT_FOUND", "no such id was ever issued", field="profile_id")
    return current
