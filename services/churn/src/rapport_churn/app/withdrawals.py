"""Use case: whoever may not be profiled any more is taken out of everything that is held and was told.

What is held is compared with what the gate answers now, so that a kill at any point leaves nothing behind, and nobody
waiting for a score: the next look finds it. Looks are taken at whoever a change of the ledger names, within
milliseconds, and at everybody when the ledger was loaded anew, when a purpose changes, and now and then, since a grant
may expire in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import heappop, heappush
from itertools import islice
from typing import Final, NamedTuple, Protocol

from rapport_chassis.clock import Clock
from rapport_privacy.decision import Decision
from rapport_privacy.permits import Permits
from rapport_privacy.replica import Replica
from rapport_privacy.vocabulary import Answer

from rapport_churn.app.people import scope_of
from rapport_churn.app.ports import People, Scope

_AGAIN_AFTER_S: Final = 2.5
"""Longer than a gate of another process may be out of date: what that still permitted meanwhile is found then."""

_UNSURE_S: Final = 0.25
"""How soon somebody is looked at again about whom the gate did not know freshly enough."""

_AT_ONCE: Final = 500
_EVERYBODY_EVERY_S: Final = 60.0


class Change(NamedTuple):
    """What a change of the ledger is about.

    Attributes:
        position: Where it stands.
        profile_ids: Whom it concerns.
        purposes: Whether a purpose has changed, which concerns everybody.
    """

    position: int
    profile_ids: frozenset[str]
    purposes: bool


class Somebody(NamedTuple):
    """One of whom something is held.

    Attributes:
        profile_id: The id under which it is held.
        waits: Whether facts are, but neither a score nor a time to make one: what was denied may be permitted now.
    """

    profile_id: str
    waits: bool


class Holdings(Protocol):
    """All that is held of people. Each method raises NOT_READY while it cannot be reached."""

    async def people(self, after: str, limit: int) -> Sequence[Somebody]:
        """Return those of whom anything is held, in order of their ids, from the one after `after` on."""
        ...

    async def among(self, profile_ids: Collection[str], scope: Scope) -> frozenset[str]:
        """Return those of the ids of whom there is something to take away."""
        ...

    async def remove(self, profile_ids: Sequence[str], scope: Scope) -> bool:
        """Take away what is held of a person, and tell that it is void; return whether there was anything.

        What a legal hold keeps, as it is known in the transaction that deletes, is kept where nothing uses it.
        """
        ...

    async def absorbed(self, profile_ids: Collection[str], current_ids: Collection[str]) -> None:
        """Take away the scores of ids that stand for others now, and have those scored anew."""
        ...

    async def permitted(self, people: Collection[Sequence[str]]) -> None:
        """Have those scored of whom nothing could be said before: of each every id, the current one first."""
        ...


class _Again(NamedTuple):
    """A second look, once every gate knows what the first one knew."""

    due_at: float
    profile_id: str
    position: int


class Withdrawals:
    """Takes out whoever may not be profiled any more.

    Args:
        permits: The gate.
        people: Who is whose.
        replica: What the gate answers from.
        holdings: What is held.
        clock: Paces.
        purpose_id: The purpose of profiling.
        brand_id: The brand it is asked for.
    """

    def __init__(
        self,
        permits: Permits,
        people: People,
        replica: Replica,
        holdings: Holdings,
        clock: Clock,
        *,
        purpose_id: str,
        brand_id: str,
    ) -> None:
        self._permits = permits
        self._people = people
        self._replica = replica
        self._holdings = holdings
        self._clock = clock
        self._purpose_id = purpose_id
        self._brand_id = brand_id
        self._named: dict[str, int] = {}
        self._again: list[_Again] = []
        self._generation = -1
        self._everybody_at = 0.0
        self._cursor: str | None = None
        self._unsure_until = 0.0

    def observe(self, change: Change) -> None:
        """Take note of a change of the ledger, whatever the order it comes in."""
        for each in change.profile_ids:
            self._named[each] = change.position
        if change.purposes:
            self._everybody_at = 0.0

    async def step(self) -> bool:
        """Look at some of those who must be looked at; return whether there was anybody.

        Raises:
            RapportError: NOT_READY.
        """
        if not self._replica.warm:
            return False
        concerned = await self._concerned()
        return await self._everybody() or concerned  # however many changes come, everybody has a turn

    async def _concerned(self) -> bool:
        """Look at those whom changes named: at once, and again."""
        now = self._clock.boottime()
        due = self._due(now)
        named = dict(islice(self._named.items(), _AT_ONCE))
        if not named and not due:
            return False
        try:
            unsure = await self._look({*named, *(each.profile_id for each in due)})
        except BaseException:
            for each in due:
                heappush(self._again, each)
            raise
        for each in due:
            if each.profile_id in unsure:
                heappush(self._again, each._replace(due_at=now + _UNSURE_S))
            elif each.position > self._replica.position:  # not all is known that came before it
                heappush(self._again, each._replace(due_at=now + _AGAIN_AFTER_S))
        for profile_id, position in named.items():
            if profile_id in unsure:
                heappush(self._again, _Again(now + _UNSURE_S, profile_id, position))
            heappush(self._again, _Again(now + _AGAIN_AFTER_S, profile_id, position))
            if self._named[profile_id] == position:
                del self._named[profile_id]
        return True

    def _due(self, now: float) -> list[_Again]:
        """Take out those who are to be looked at again now."""
        due: list[_Again] = []
        while self._again and self._again[0].due_at <= now and len(due) < _AT_ONCE:
            due.append(heappop(self._again))
        return due

    async def _everybody(self) -> bool:
        """Go through everybody of whom anything is held, some at a time."""
        now = self._clock.boottime()
        if self._generation != self._replica.generation or (self._cursor is None and now >= self._everybody_at):
            self._generation, self._cursor = self._replica.generation, ""
            self._everybody_at = now + _EVERYBODY_EVERY_S
        if self._cursor is None or now < self._unsure_until:
            return False
        page = await self._holdings.people(self._cursor, _AT_ONCE)
        if await self._look([each.profile_id for each in page if self._is_odd(each)]):
            self._unsure_until = now + _UNSURE_S
            return False
        self._cursor = page[-1].profile_id if len(page) == _AT_ONCE else None
        return True

    def _is_odd(self, somebody: Somebody) -> bool:
        """Whether something may have to be done about a person of whom something is held."""
        decision = self._check(somebody.profile_id)
        if decision.permitted and decision.profile_id == somebody.profile_id:
            return somebody.waits
        return _is_stale(decision) or scope_of(decision) is not None or decision.profile_id != somebody.profile_id

    async def _look(self, profile_ids: Collection[str]) -> set[str]:
        """Do what the gate's answers demand; return of whom it did not know freshly enough."""
        unsure: set[str] = set()
        gone: dict[Scope, list[tuple[str, ...]]] = {}
        absorbed: set[str] = set()
        survivors: set[str] = set()
        permitted: list[tuple[str, ...]] = []
        for profile_id in profile_ids:
            decision = self._check(profile_id)
            if _is_stale(decision):
                unsure.add(profile_id)
                continue
            ids = self._people.ids_of(decision.profile_id)
            scope = scope_of(decision)
            if scope is not None:
                # An erased id may have lost its redirects already.
                gone.setdefault(scope, []).append(tuple(dict.fromkeys((*ids, profile_id))))
                continue
            if decision.permitted:
                permitted.append(ids)
            if len(ids) > 1:
                absorbed.update(ids[1:])
                survivors.add(ids[0])
        if absorbed:
            await self._holdings.absorbed(absorbed, survivors)
        if permitted:
            await self._holdings.permitted(permitted)
        for scope, people in gone.items():
            held = await self._holdings.among({one for each in people for one in each}, scope)
            for each in people:
                if not held.isdisjoint(each):
                    await self._holdings.remove(each, scope)
        return unsure

    def _check(self, profile_id: str) -> Decision:
        return self._permits.check(profile_id, self._purpose_id, brand_id=self._brand_id)


def _is_stale(decision: Decision) -> bool:
    return decision.answer == Answer.DENY_STALE
