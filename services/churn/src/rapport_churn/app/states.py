"""States of profiles in memory: loaded from the log on first use, kept current by following it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from rapport_churn.app.ports import Log, Scope
from rapport_churn.domain.state import ProfileState
from rapport_churn.domain.vectors import Plan

_AT_ONCE: Final = 1000
"""Entries of the log that are read together."""


class Held:
    """The state of one person.

    Attributes:
        ids: Every id that stands for the person, the current one first: facts keep the id they name.
        state: What is known.
        position: The log is in it up to here.
    """

    __slots__ = ("ids", "position", "state")

    def __init__(self, ids: tuple[str, ...], state: ProfileState, position: int) -> None:
        self.ids = ids
        self.state = state
        self.position = position


class States:
    """The states of a process, so many at most; those that were not asked for longest go first.

    All of it belongs to one event loop.

    Args:
        log: The event log.
        plan: How features are read from a state.
        most: States held at most.
    """

    def __init__(self, log: Log, plan: Plan, most: int) -> None:
        self._log = log
        self._plan = plan
        self._most = most
        self._held: dict[str, Held] = {}
        """By current id; the one asked for last is the last."""
        self._of_id: dict[str, Held] = {}
        """By every id."""
        self._epoch = ""
        self._position = 0
        self._following = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def position(self) -> int:
        """Everything in the log up to here is in the states."""
        return self._position

    def hit(self, ids: tuple[str, ...]) -> ProfileState | None:
        """Return the state of a person if it is in memory.

        Args:
            ids: Every id that stands for the person, the current one first.
        """
        held = self._held.get(ids[0])
        if held is None or held.ids != ids:
            return None
        # To the end: who is first there was not asked for longest.
        del self._held[ids[0]]
        self._held[ids[0]] = held
        return held.state

    async def get(self, ids: tuple[str, ...]) -> ProfileState:
        """Return the state of a person, from memory or from the log.

        Raises:
            RapportError: NOT_READY.
        """
        while True:
            if (state := self.hit(ids)) is not None:
                return state
            history = await self._log.of(ids)
            if history.epoch == self._epoch and history.position >= self._position:
                return self._hold(Held(ids, ProfileState(self._plan, history.facts), history.position))
            if history.epoch != self._epoch:
                self._begin(history.epoch, history.position)
            # The log was followed further while this was read: what came in between would be missing.

    async def follow(self) -> bool:
        """Read what was entered into the log meanwhile, and return whether there was anything.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._following:
            return await self._follow()

    async def catch_up(self) -> None:
        """Return once everything is in the states that was in the log when this was called.

        Raises:
            RapportError: NOT_READY.
        """
        epoch, position = await self._log.head()
        while self._epoch != epoch or self._position < position:
            if not await self.follow():
                return  # the log has begun another life meanwhile

    async def _follow(self) -> bool:
        stretch = await self._log.after(self._epoch, self._position, _AT_ONCE)
        if stretch.epoch != self._epoch:
            self._begin(stretch.epoch, stretch.position)
            return True
        for position, fact, moved_from in stretch.facts:
            for owner in moved_from:
                if (before := self._of_id.get(owner)) is not None and position > before.position:
                    before.state.withdraw(fact.fact_id)
            if (held := self._of_id.get(fact.profile_id)) is not None and position > held.position:
                held.state.apply(fact)
        for removal in stretch.removals:
            if removal.scope is not Scope.SCORES:
                self.forget(removal.profile_ids)
        moved = stretch.position > self._position
        self._position = stretch.position
        return moved

    def forget(self, ids: Iterable[str]) -> None:
        """Drop the states of everybody for whom one of these ids stands."""
        for each in ids:
            if (held := self._of_id.get(each)) is not None:
                self._drop(held)

    def _hold(self, held: Held) -> ProfileState:
        # Whoever was held under one of these ids is this person now.
        self.forget(held.ids)
        self._held[held.ids[0]] = held
        for each in held.ids:
            self._of_id[each] = held
        while len(self._held) > self._most:
            self._drop(next(iter(self._held.values())))
        return held.state

    def _drop(self, held: Held) -> None:
        del self._held[held.ids[0]]
        for each in held.ids:
            del self._of_id[each]

    def _begin(self, epoch: str, position: int) -> None:
        """The log has another life: nothing that was read of it before counts."""
        self._held.clear()
        self._of_id.clear()
        self._epoch, self._position = epoch, position
