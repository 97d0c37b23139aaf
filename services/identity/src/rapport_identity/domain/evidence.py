"""What speaks for and against one person in two records: bits by name, and the least that would have to be otherwise.

Comparisons and levels are named by code; no value of a record is in any of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from math import inf
from typing import Final, NamedTuple

from rapport_identity.domain.matcher import Matcher, Outcome
from rapport_identity.domain.weighing import Prepared

HOUSEHOLD: Final = "household"
"""Name of the term for persons of one household."""

RELATED: Final = "could_be_relatives"
"""The one level of the term for two persons of one household."""


class Verdict(StrEnum):
    """Whether two records are one person."""

    TOGETHER = "together"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class ComparisonBits:
    """What one comparison adds.

    Attributes:
        comparison: Its name.
        level: Code of the level that held.
        bits: Evidence for one person; below 0 it speaks against.
        frequency_bits: The part of it that comes from how frequent the value is.
    """

    comparison: str
    level: str
    bits: float
    frequency_bits: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that two records say of being one person.

    Attributes:
        prior: Bits before anything is compared.
        weights: What each comparison adds; with the prior they sum to the score.
        score: Log odds of one person, in bits.
        conflicts: Codes of what forbids the match whatever the score.
        outcomes: The same by number, for whoever computes with it.
    """

    prior: float
    weights: tuple[ComparisonBits, ...]
    score: float
    conflicts: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    def verdict(self, join: float) -> Verdict:
        """Return what follows from it alone."""
        return Verdict.TOGETHER if self.score >= join and not self.conflicts else Verdict.APART


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A comparison that would have to come out otherwise.

    Attributes:
        comparison: Its name.
        from_level: Code of the level that holds.
        to_level: Code of the level that would have to hold.
        bits: What that adds to the score once the changes before it are made.
    """

    comparison: str
    from_level: str
    to_level: str
    bits: float


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """The smallest change that flips a verdict; none if nothing can."""

    changes: tuple[LevelChange, ...]
    score: float
    verdict: Verdict


def evidence(matcher: Matcher, one: Prepared, other: Prepared) -> Evidence:
    """Return what two records say, the same in either order."""
    outcomes = matcher.outcomes(one, other)
    weights, conflicts = [], []
    for at, (comparison, outcome) in enumerate(zip(matcher.comparisons, outcomes, strict=True)):
        level = matcher.codes[at][outcome.level]
        usual = matcher.usual(at, outcome.level).person
        weights.append(ComparisonBits(comparison.name, level, outcome.person, outcome.person - usual))
        if comparison.levels[outcome.level].veto:
            conflicts.append(f"{comparison.name}.{level}")
    if matcher.household_odds:
        home = matcher.total(0.0, sum(each.home for each in outcomes)) - matcher.prior
        weights.append(ComparisonBits(HOUSEHOLD, RELATED, home, 0.0))
    score = matcher.prior + sum(each.bits for each in weights)
    return Evidence(matcher.prior, tuple(weights), score, tuple(conflicts), outcomes)


def counterfactual(matcher: Matcher, found: Evidence) -> Counterfactual:
    """Return the smallest change that would flip the verdict of the evidence.

    Fewest comparisons first; among those, the one that moves the score least. A level that would have to hold is
    weighed for a value neither frequent nor rare.
    """
    wanted = Verdict.APART if found.verdict(matcher.join) is Verdict.TOGETHER else Verdict.TOGETHER
    choice = _Search.of(matcher, found, wanted).smallest()
    outcomes = list(found.outcomes)
    changes: list[LevelChange] = []
    score = _score(matcher, outcomes)
    for at, outcome in sorted(choice.items()):
        comparison, before = matcher.comparisons[at], score
        names = matcher.codes[at]
        from_level, to_level = names[outcomes[at].level], names[outcome.level]
        outcomes[at] = outcome
        score = _score(matcher, outcomes)
        changes.append(LevelChange(comparison.name, from_level, to_level, score - before))
    return Counterfactual(tuple(changes), score, wanted)


def _score(matcher: Matcher, outcomes: Sequence[Outcome]) -> float:
    return matcher.total(sum(each.person for each in outcomes), sum(each.home for each in outcomes))


class _Option(NamedTuple):
    """Another outcome of a comparison: by how much it moves the bits for one person and for one household."""

    outcome: Outcome
    person: float
    home: float
    veto: bool


@dataclass(slots=True)
class _Search:
    """Branch and bound over which comparisons change, and to what.

    The score rises with the bits for one person and falls with those for one household, so the best that some changes
    can do is bounded by the best of each for itself.
    """

    matcher: Matcher
    person: float
    home: float
    options: list[list[_Option]]
    forced: list[bool]
    """Comparisons whose veto must go."""
    flips: Callable[[float, bool], bool]
    up: bool
    reach: list[list[tuple[float, float]]]
    """From each comparison on, the most that so many changes can move both sums in the wanted direction."""
    best_cost: float = inf
    best: dict[int, Outcome] | None = None

    @classmethod
    def of(cls, matcher: Matcher, found: Evidence, wanted: Verdict) -> "_Search":
        up = wanted is Verdict.TOGETHER
        options: list[list[_Option]] = []
        forced = []
        for at, (comparison, now) in enumerate(zip(matcher.comparisons, found.outcomes, strict=True)):
            forced.append(up and comparison.levels[now.level].veto)
            options.append([])
            for index, level in enumerate(comparison.levels):
                if index != now.level and not (up and level.veto):
                    then = matcher.usual(at, index)
                    options[at].append(_Option(then, then.person - now.person, then.home - now.home, level.veto))

        def flips(score: float, veto: bool) -> bool:
            return score >= matcher.join if up else veto or score < matcher.join

        person, home = (sum(each) for each in zip(*((o.person, o.home) for o in found.outcomes), strict=True))
        return cls(matcher, person, home, options, forced, flips, up, _reach(options, up))

    def smallest(self) -> dict[int, Outcome]:
        """Return the outcomes that would have to hold, by comparison; none if nothing flips the verdict."""
        for count in range(1, len(self.options) + 1):
            self._look(0, count, self.person, self.home, False, {})
            if self.best is not None:
                return self.best
        return {}

    def _look(self, start: int, count: int, person: float, home: float, veto: bool, chosen: dict[int, Outcome]) -> None:
        if count == 0:
            self._weigh(start, person, home, veto, chosen)
            return
        for at in range(start, len(self.options) - count + 1):
            most_person, most_home = self.reach[at][count]
            if not veto and not self._may(person + most_person, home + most_home, at):
                return
            for option in self.options[at]:
                chosen[at] = option.outcome
                self._look(at + 1, count - 1, person + option.person, home + option.home, veto or option.veto, chosen)
                del chosen[at]
            if self.forced[at]:
                return

    def _may(self, person: float, home: float, start: int) -> bool:
        """Whether sums this good would flip the verdict."""
        vetoes = not self.up and any(option.veto for each in self.options[start:] for option in each)
        return self.flips(self.matcher.total(person, home), vetoes)

    def _weigh(self, start: int, person: float, home: float, veto: bool, chosen: dict[int, Outcome]) -> None:
        score = self.matcher.total(person, home)
        if any(self.forced[start:]) or not self.flips(score, veto):
            return
        cost = abs(score - self.matcher.total(self.person, self.home))
        if cost < self.best_cost:
            self.best_cost, self.best = cost, dict(chosen)


def _reach(options: Sequence[Sequence[_Option]], up: bool) -> list[list[tuple[float, float]]]:
    best, other = (max, min) if up else (min, max)
    reach = []
    for start in range(len(options)):
        each = [of for of in options[start:] if of]
        person = sorted((best(option.person for option in of) for of in each), reverse=up)
        home = sorted((other(option.home for option in of) for of in each), reverse=not up)
        sums = [accumulate(side, initial=0.0) for side in (person, home)]
        reach.append(list(zip(*sums, strict=True)))
        reach[-1] += [reach[-1][-1]] * (len(options) - start + 1 - len(reach[-1]))
    return reach
