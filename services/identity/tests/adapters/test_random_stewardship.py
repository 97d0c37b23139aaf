"""Whatever happened before: what a steward decides is undone exactly when it is taken back."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from rapport_chassis.errors import RapportError
from rapport_identity.app import steward
from rapport_identity.population import Population
from rapport_identity.population.messages import message_of

pytestmark = pytest.mark.heavy

_RECORDS = 60
REFUSED = {"CONSTRAINTS_CONTRADICT", "SAME_PROFILE", "SAME_RECORD"}


class State(NamedTuple):
    """Who is who: the records of each profile, and what each id ever issued stands for."""

    persons: dict[str, tuple[Any, ...]]
    stands_for: dict[str, str]


class History:
    """A partition to which anything happens."""

    def __init__(self, process: Any, seed: int) -> None:
        self.process = process
        self.draw = random.Random(seed)
        self._arriving = iter(Population(seed).sightings(10**6))
        self._issued: set[str] = set()
        self._constraints: list[str] = []

    async def state(self) -> State:
        """Return who is who."""
        persons = self.process.persons()
        self._issued.update(persons)
        async with self.process.partition.units.unit() as unit:
            return State(persons, await unit.current(sorted(self._issued)))

    async def anything(self) -> None:
        """New records, merges, splits, bans, and decisions taken back, whichever comes."""
        happenings: list[Callable[[], Awaitable[object]]] = [self.merge, self.split, self.forbid]
        if len(self.process.partition.replica.owners) < _RECORDS:
            happenings.append(self.arrive)
        if self._constraints:
            happenings += [self.withdraw, self.withdraw]
        await self.draw.choice(happenings)()

    async def arrive(self) -> None:
        """Take in the next records."""
        await self.process.resolve([message_of(next(self._arriving)) for _ in range(self.draw.choice([1, 1, 2]))])

    async def merge(self) -> str:
        """Have some profiles be one; return the constraint, empty if an earlier one forbids it."""
        profiles = sorted(self.process.persons())
        chosen = self.draw.sample(profiles, min(len(profiles), self.draw.choice([2, 2, 3])))
        return await self._decide(steward.merge, chosen, reason="one person")

    async def split(self) -> str:
        """Have records leave a profile."""
        many = sorted(each for each, held in self.process.persons().items() if len(held) > 1)
        if not many:
            return ""
        profile_id = self.draw.choice(many)
        held = list(self.process.persons()[profile_id])
        self.draw.shuffle(held)
        leaving = held[: self.draw.randrange(1, len(held))]
        middle = self.draw.randrange(1, len(leaving) + 1)
        groups = [group for group in (leaving[:middle], leaving[middle:]) if group]
        return await self._decide(steward.split, profile_id, groups, reason="several persons")

    async def forbid(self) -> str:
        """Keep two records apart."""
        records = sorted(record for held in self.process.persons().values() for record in held)
        return await self._decide(steward.forbid, *self.draw.sample(records, 2), reason="two persons")

    async def withdraw(self) -> None:
        """Take one of the decisions back."""
        await self.take_back(self._constraints.pop(self.draw.randrange(len(self._constraints))))

    async def take_back(self, constraint_id: str) -> None:
        """Take a decision back."""
        async with self.process.partition.session() as session:
            await steward.withdraw(session, constraint_id, actor="ops-2")
        if constraint_id in self._constraints:
            self._constraints.remove(constraint_id)

    async def _decide(self, rule: Callable[..., Awaitable[steward.Decision]], *arguments: Any, **named: str) -> str:
        before = self.process.persons()
        try:
            async with self.process.partition.session() as session:
                made = await rule(session, *arguments, actor="ops-1", **named)
        except RapportError as error:
            if error.reason.name not in REFUSED or self.process.persons() != before:
                raise
            return ""
        self._constraints.append(made.constraint.constraint_id)
        return made.constraint.constraint_id


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each part of the histories a database of its own: ids pile up, and each decision tells of all of them."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(40 if metafunc.config.getoption("scale") == "full" else 2))


async def test_a_decision_taken_back_leaves_who_is_who_as_it_was_after_any_history(
    start: Any, scale: Any, prove: Any, progress: Any, seed: int
) -> None:
    histories = scale.pick(small=12, full=250)
    bar = progress(histories, "decisions taken back")
    history = History(await start(), seed)
    for _ in range(6):
        await history.arrive()
    done = 0
    while done < histories:
        await history.anything()
        before = await history.state()
        constraint_id = await history.draw.choice([history.merge, history.merge, history.split])()
        if not constraint_id:
            continue
        await history.take_back(constraint_id)
        after = await history.state()
        assert after.persons == before.persons
        assert {each: after.stands_for[each] for each in before.stands_for} == before.stands_for
        done += 1
        bar.advance()
    assert (await start()).persons() == history.process.persons()
    prove("identity", **{f"histories_of_decisions_{seed}": done, f"histories_not_restored_{seed}": 0})
