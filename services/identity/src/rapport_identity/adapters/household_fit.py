"""The third class that Splink does not know: two persons of one household, fitted by expectation and maximisation.

Relatives share surname, address, telephone and sometimes an identifier; a model of two classes takes that for one
person. Here every pair that blocking brought together is of one person, of one household or of neither; m, the
household's probabilities and both odds are fitted to all those pairs at once, no label used. From u, which was sampled
from pairs at random, the share that such pairs of one person or household make up is taken out: of an identifier that
nobody else holds it would be all there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rapport_identity.domain.comparisons import Comparison, Level
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.weighing import Prepared

HOME: Final[Mapping[str, Mapping[str, float]]] = {
    "given_name": {"same": 0.02},
    "surname": {"same": 0.75},
    "residence": {"same address": 0.85, "same street": 0.03, "same postcode": 0.05, "same city": 0.02},
    "phone": {"shared": 0.4},
    "email": {"shared": 0.1},
    "national_id": {"shared": 0.03},
    "birth_date": {"same": 0.01},
    "employer": {},
}
"""What relatives have in common to begin with; traits not named here are as between strangers and stay so."""

ITERATIONS: Final = 12
STRENGTH: Final = 50.0
"""Pairs that the starting values count for, so that a level hardly seen keeps a sensible weight."""

CONTACT_STRENGTH: Final[Mapping[str, float]] = {"phone": 500.0, "email": 500.0}
"""The same for what relatives share of these: most pairs of one person are found by them too, so that few pairs cannot
tell how often relatives do."""

LEAST_LEFT: Final = 0.05
"""Share of a sampled u that stays at least; the sample says no more."""

NO_LABELS: Final[Mapping[int, bool]] = {}
TINY: Final = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Pairs:
    """What the comparisons say of all pairs: per comparison the level and the frequency of the value agreed on."""

    levels: NDArray[np.int8]
    frequency: Floats

    @classmethod
    def of(cls, pairs: Sequence[tuple[Prepared, Prepared]], matcher: Matcher) -> "_Pairs":
        positions = {column: index for index, column in enumerate(matcher.columns)}
        levels = np.zeros((len(pairs), len(matcher.comparisons)), np.int8)
        frequency = np.full(levels.shape, np.nan)
        for at, comparison in enumerate(matcher.comparisons):
            choose = comparison.chooser(positions)
            terms = [positions[level.term] if level.term else -1 for level in comparison.levels]
            for row, (a, b) in enumerate(pairs):
                index = levels[row, at] = choose(a.values, b.values)
                if (term := terms[index]) >= 0:
                    frequency[row, at] = max(a.frequencies[term] or 0.0, b.frequencies[term] or 0.0) or np.nan
        return cls(levels, frequency)


@dataclass
class _Fit:
    m: list[Floats]
    u: list[Floats]
    h: list[Floats]
    person: float
    home: float


def fit(
    matcher: Matcher,
    pairs: Sequence[tuple[Prepared, Prepared]],
    records: int,
    labels: Mapping[int, bool] = NO_LABELS,
) -> Matcher:
    """Return the matcher with households, its m and odds fitted to the pairs.

    Args:
        matcher: What Splink trained.
        pairs: All pairs that blocking brought together, in a fixed order.
        records: How many records there are in all.
        labels: By the place of a pair, whether a steward said that it is one person: no doubt is left of these.
    """
    matcher = _own_base(matcher)
    seen = _Pairs.of(pairs, matcher)
    state = _start(matcher, records)
    began = _Fit([m.copy() for m in state.m], list(state.u), [h.copy() for h in state.h], 0, 0)
    total = records * (records - 1) / 2
    for _ in range(ITERATIONS):
        person, home = _posteriors(matcher, seen, state)
        for at, same in labels.items():
            home[at] = 0.0 if same else home[at] / max(1 - person[at], TINY)
            person[at] = float(same)
        state.person, state.home = max(person.sum(), 1) / total, max(home.sum(), 1) / total
        for at, comparison in enumerate(matcher.comparisons):
            state.m[at] = _maximise(seen.levels[:, at], person, STRENGTH * began.m[at], comparison)
            if comparison.name in HOME:
                strength = CONTACT_STRENGTH.get(comparison.name, STRENGTH)
                state.h[at] = _maximise(seen.levels[:, at], home, strength * began.h[at], comparison)
            related = state.person * state.m[at] + state.home * state.h[at]
            state.u[at] = np.maximum(began.u[at] - related, LEAST_LEFT * began.u[at])
    comparisons = tuple(
        replace(
            comparison, levels=tuple(_fitted(comparison, at, index, state) for index in range(len(comparison.levels)))
        )
        for at, comparison in enumerate(matcher.comparisons)
    )
    return replace(
        matcher,
        comparisons=comparisons,
        prior=float(np.log2(state.person / (1 - state.person))),
        household_odds=float(state.home),
    )


def _own_base(matcher: Matcher) -> Matcher:
    """Return the matcher with frequencies standing in for the u of their own level, which is about to move.

    Raises:
        ValueError: A level takes its frequencies for the u of another.
    """
    for comparison in matcher.comparisons:
        if odd := [level.label for level in comparison.levels if level.term_u not in (None, level.u)]:
            raise ValueError(f"{comparison.name}: {', '.join(odd)}: no exact match on the column of the frequencies")
    return replace(
        matcher,
        comparisons=tuple(
            replace(comparison, levels=tuple(replace(level, term_u=None) for level in comparison.levels))
            for comparison in matcher.comparisons
        ),
    )


def _fitted(comparison: Comparison, at: int, index: int, state: _Fit) -> Level:
    level = comparison.levels[index]
    if level.is_null:
        return level
    home = float(state.h[at][index]) if comparison.name in HOME else None
    return replace(level, m=float(state.m[at][index]), u=float(state.u[at][index]), h=home)


def _start(matcher: Matcher, records: int) -> _Fit:
    m, u, h = [], [], []
    for comparison in matcher.comparisons:
        start_m = np.array([level.m or 0.0 for level in comparison.levels])
        start_u = np.array([level.u or 0.0 for level in comparison.levels])
        m.append(start_m / start_m.sum())
        u.append(start_u)
        known = HOME.get(comparison.name, {})
        start_h = start_u / start_u.sum()
        named = np.array([level.label in known for level in comparison.levels])
        if named.any():
            start_h = np.where(named, 0.0, start_h)
            start_h *= (1 - sum(known.values())) / start_h.sum()
            start_h += np.array([known.get(level.label, 0.0) for level in comparison.levels])
        h.append(start_h)
    total = records * (records - 1) / 2
    return _Fit(m, u, h, person=records * 0.5 / total, home=records / total)


def _posteriors(matcher: Matcher, seen: _Pairs, state: _Fit) -> tuple[Floats, Floats]:
    """Return for each pair the probability of one person and that of one household."""
    person = np.full(len(seen.levels), np.log2(state.person / (1 - state.person)))
    home = np.full(len(seen.levels), np.log2(state.home))
    for at, comparison in enumerate(matcher.comparisons):
        for index, level in enumerate(comparison.levels):
            rows = seen.levels[:, at] == index
            if level.is_null or not rows.any():
                continue
            bits_person, bits_home = _bits(level, at, index, seen.frequency[rows, at], state)
            person[rows] += bits_person
            home[rows] += bits_home
    others = np.log2(1 + np.exp2(np.clip(home, -1000, 1000)))
    is_person = 1 / (1 + np.exp2(np.clip(others - person, -1000, 1000)))
    return is_person, (1 - is_person) / (1 + np.exp2(np.clip(-home, -1000, 1000)))


def _bits(level: Level, at: int, index: int, frequency: Floats, state: _Fit) -> tuple[Floats, Floats]:
    """Return the bits of a level as the matcher weighs it."""
    m, u, h = state.m[at][index], state.u[at][index], state.h[at][index]
    expected = u if level.term_u is None else level.term_u
    shift = np.where(np.isnan(frequency), 0.0, level.term_weight * np.log2(expected / frequency))
    if u < h < 1 and level.term:
        shared = (h - u) / (1 - u)
        return np.log2(m / u) + shift, np.log2(shared / u * np.exp2(shift) + 1 - shared)
    return np.log2(m / u) + shift, np.full(len(frequency), np.log2(h / u))


def _maximise(levels: NDArray[np.int8], weights: Floats, before: Floats, comparison: Comparison) -> Floats:
    counts: Floats = np.bincount(levels, weights=weights, minlength=len(comparison.levels)).astype(np.float64)
    counts[[level.is_null for level in comparison.levels]] = 0.0
    counts = counts + before
    fitted: Floats = counts / counts.sum()
    return fitted
