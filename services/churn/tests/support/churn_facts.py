"""Random histories of facts, told as a log tells them, and the states that following the log leads to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import strategies as st
from rapport_churn.domain.facts import DAY, Fact, FactKind, supersedes
from rapport_churn.domain.labels import Gaps, Horizon
from rapport_churn.domain.state import ProfileState
from rapport_churn.domain.vectors import Plan

START = 10_000 * DAY
DAYS = 14
PROFILES = tuple(f"prf_{letter}" for letter in "abcd")
KINDS = (
    FactKind.ORDER, FactKind.ORDER, FactKind.ORDER, FactKind.RETURNED, FactKind.VIEWED, FactKind.CART_CHANGED,
    FactKind.FEEDBACK, FactKind.MESSAGE_DELIVERED, FactKind.MESSAGE_OPENED,
)  # fmt: skip


@dataclass
class Told:
    """A log: issues of facts in the order they are told, who is whose, and who was erased."""

    issues: list[Fact]
    redirects: dict[str, str] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)


# Instants near the bounds of windows and days, and often the same.
instants = st.builds(
    lambda day, part, off: START + day * DAY + part * DAY // 4 + off,
    st.integers(0, DAYS), st.sampled_from([0, 0, 0, 2]), st.sampled_from([0, 0, 0, 0, -1, 1]),
)  # fmt: skip
delays = st.sampled_from([0, 0, 0, 0, 1, DAY // 2, DAY, 5 * DAY])


@st.composite
def facts(draw: st.DrawFn, number: int, profiles: tuple[str, ...] = PROFILES) -> Fact:
    occurred_at = draw(instants)
    return Fact(
        fact_id=f"evt_{number:03}",
        profile_id=draw(st.sampled_from(profiles)),
        owner_version=1,
        kind=draw(st.sampled_from(KINDS)),
        occurred_at=occurred_at,
        arrived_at=occurred_at + draw(delays),
        value=draw(st.sampled_from([0, 1, 2, 250, 500, 1_234_567, 2**40 + 1])),
        quantity=draw(st.integers(1, 4)),
        channel=draw(st.integers(0, 3)),
    )


@st.composite
def histories(draw: st.DrawFn, profiles: tuple[str, ...] = PROFILES, most: int = 60) -> list[Fact]:
    count = draw(st.integers(0, most))
    return [draw(facts(number, profiles)) for number in range(count)]


@st.composite
def told(draw: st.DrawFn) -> Told:
    """A log with facts issued again for others, repeated and in any order, with merges and erasures."""
    issues = draw(histories())
    for fact in list(issues):
        for version in range(2, 2 + draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
            issues.append(fact._replace(profile_id=draw(st.sampled_from(PROFILES)), owner_version=version))
    repeats = [draw(st.sampled_from(issues)) for _ in range(draw(st.integers(0, 4)))] if issues else []
    survivors = draw(st.lists(st.sampled_from(PROFILES), min_size=1, unique=True))
    merged = [each for each in PROFILES if each not in survivors]
    return Told(
        issues=draw(st.permutations(issues + repeats)),
        redirects={each: draw(st.sampled_from(survivors)) for each in merged if draw(st.booleans())},
        erased=set(draw(st.lists(st.sampled_from(PROFILES), max_size=1))),
    )


class Follower:
    """Follows a log fact by fact: the state of every id that facts name."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._held: dict[str, Fact] = {}
        self._states: dict[str, ProfileState] = {}

    def follow(self, issues: Iterable[Fact]) -> None:
        for issue in issues:
            held = self._held.get(issue.fact_id)
            if held and not supersedes(issue, held):
                continue
            if held:
                assert self._states[held.profile_id].withdraw(issue.fact_id)
            self._held[issue.fact_id] = issue
            assert self._states.setdefault(issue.profile_id, ProfileState(self._plan)).apply(issue)

    def people(self, redirects: dict[str, str], erased: set[str]) -> dict[str, ProfileState]:
        """The state of each person: of all ids that stand for them, less what was erased."""
        return {each: ProfileState(self._plan, facts) for each, facts in self.facts(redirects, erased).items()}

    def facts(self, redirects: dict[str, str], erased: set[str]) -> dict[str, list[Fact]]:
        """The facts of each person."""
        people: dict[str, list[Fact]] = {}
        for fact in self._held.values():
            current = redirects.get(fact.profile_id, fact.profile_id)
            if fact.profile_id not in erased and current not in erased:
                people.setdefault(current, []).append(fact)
        return people


def outcome(orders: list[tuple[int, int]], cutoff: int, horizon: Horizon) -> tuple[bool, float, int]:
    """Whether someone left who placed such orders, in how many days they bought again, and what they spent."""
    later = sorted(order for order in orders if order[0] > cutoff)
    spend = sum(value for time, value in later if time <= cutoff + horizon.value_days * DAY)
    if not later or later[0][0] > cutoff + horizon.days * DAY:
        return True, math.inf, spend
    return False, float(later[0][0] - cutoff) / float(DAY), spend


def gaps_between(days: Iterable[list[int]], today: int) -> Gaps:
    """The gaps between the days with a purchase of each customer, and those that are open today."""
    closed: Counter[int] = Counter()
    still_open: Counter[int] = Counter()
    for each in days:
        closed.update(after - before for before, after in pairwise(each))
        still_open[today - each[-1]] += 1
    return Gaps(closed, still_open)
