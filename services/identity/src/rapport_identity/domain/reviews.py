"""Which calls were close: questions to a steward, each with how much its answer would teach.

A question is about two groups of records that are, or are not, one person; it names the pair across that speaks most
for it. What an answer teaches is the uncertainty that it removes, counted once for each pair across: all of them come
together or go apart with it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import product
from math import exp2, inf, log2
from typing import Final

from rapport_identity.domain.bonds import Bonds
from rapport_identity.domain.entries import Entry
from rapport_identity.domain.evidence import evidence
from rapport_identity.domain.index import Index
from rapport_identity.domain.surroundings import Surroundings

MARGIN: Final = 3.0
"""Bits from the join value within which a call is close: one in nine such verdicts would be wrong."""

MOST_MET: Final = 5_000
"""Pairs of a component in which conflicts are looked for, at most."""


_ROUNDING: Final = 1e-6


class ReviewCause(StrEnum):
    """Why a steward should look."""

    CLOSE_CALL = "close_call"
    """The average is close to where the verdict flips."""
    CONTRADICTION = "contradiction"
    """The evidence speaks for one person, and a conflict or a constraint on others of them against it."""
    COMPONENT_CUT = "component_cut"
    """A component was too large and was cut here."""


@dataclass(frozen=True, slots=True)
class Question:
    """Are these two one person?

    Attributes:
        cause: Why it is asked.
        first: Number of one record.
        second: Number of the other, the higher one.
        gain: How much an answer is expected to teach, in bits.
        evidence: What it rests on, as a digest: the same question on the same evidence is not asked again.
    """

    cause: ReviewCause
    first: int
    second: int
    gain: float
    evidence: bytes


def uncertainty(margin: float) -> float:
    """Return the entropy of a verdict that many bits away from where it flips, in bits."""
    if abs(margin) > 60:
        return 0.0
    odds = exp2(-abs(margin))
    share = odds / (1 + odds)
    return -(share * log2(share) + (1 - share) * log2(1 - share))


def questions(index: Index, bonds: Bonds, start: Entry) -> tuple[list[Entry], list[Question]]:
    """Return the component of a record, and what should be asked about it, what teaches most first.

    What a steward decided about two records is not asked of the two again.
    """
    around = Surroundings.of(index, bonds, start)
    asked: dict[tuple[int, int], Question] = {}
    for question in (*_within(around), *_between(around), *_conflicts(around)):
        pair = question.first, question.second
        decided = [bonds.between((pair[0],), (pair[1],), must=must) for must in (True, False)]
        if not any(decided) and (pair not in asked or asked[pair].gain < question.gain):
            asked[pair] = question
    entries = [entry for person in around.persons for entry in person]
    return entries, sorted(asked.values(), key=lambda each: (-each.gain, each.first, each.second))


def _within(around: Surroundings) -> Iterator[Question]:
    """Yield the joins that hardly were made."""
    members = {entry.key: [entry] for person in around.persons for entry in person}
    for step in around.joins:
        left, right = members[step.left], members.pop(step.right)
        if step.bits - around.index.matcher.join <= MARGIN:
            yield _close(around, left, right, step.bits)
        members[step.left] = left + right


def _between(around: Surroundings) -> Iterator[Question]:
    """Yield the persons of one component that hardly were kept apart, or were cut."""
    index, seen = around.index, set()
    for person in around.persons:
        for entry in person:
            for other in index.edges(entry):
                here, there = sorted((around.person_of[entry.key], around.person_of[other.key]))
                if here == there or (here, there) in seen:
                    continue
                seen.add((here, there))
                left, right = around.persons[here], around.persons[there]
                if around.part_of[left[0].key] != around.part_of[right[0].key]:
                    yield _certain(around, ReviewCause.COMPONENT_CUT, left, right)
                    continue
                scores = [index.score(a, b) for a, b in product(left, right)]
                average = sum(scores) / len(scores)
                banned = around.bonds.between(_numbers(left), _numbers(right), must=False)
                if average == -inf or banned:
                    if _spoken(around, left, right) >= index.matcher.join:
                        yield _certain(around, ReviewCause.CONTRADICTION, left, right)
                elif index.matcher.join - average <= MARGIN:
                    yield _close(around, left, right, average)


def _conflicts(around: Surroundings) -> Iterator[Question]:
    """Yield pairs that a conflict alone keeps from meeting."""
    index, looked = around.index, 0
    matcher = index.matcher
    for entry in (entry for person in around.persons for entry in person if matcher.vetoed):
        seen, met = index.prepared(entry), index.met(entry)
        may = seen.known & matcher.vetoed or matcher.vetoed < 0
        for other in met if may else ():
            looked += 1
            if looked > MOST_MET:
                return
            also = index.prepared(other)
            if matcher.vetoes(seen, also) and evidence(matcher, seen, also).score >= matcher.join:
                yield _certain(around, ReviewCause.CONTRADICTION, [entry], [other])
        looked += 0 if may else len(met)


def _close(around: Surroundings, left: Sequence[Entry], right: Sequence[Entry], average: float) -> Question:
    doubt = uncertainty(average - around.index.matcher.join)
    return _question(around, ReviewCause.CLOSE_CALL, left, right, doubt)


def _certain(around: Surroundings, cause: ReviewCause, left: Sequence[Entry], right: Sequence[Entry]) -> Question:
    """Return a question where the evidence is clear and was not followed: as open as a question can be."""
    return _question(around, cause, left, right, 1.0)


def _question(
    around: Surroundings, cause: ReviewCause, left: Sequence[Entry], right: Sequence[Entry], doubt: float
) -> Question:
    index = around.index
    pairs = (
        (evidence(index.matcher, index.prepared(a), index.prepared(b)), a, b) for a, b in _telling(index, left, right)
    )
    found, one, other = max(pairs, key=lambda each: (each[0].score, -each[1].number, -each[2].number))
    levels = [
        f"{comparison.name}.{names[outcome.level]}"
        for comparison, names, outcome in zip(
            index.matcher.comparisons, index.matcher.codes, found.outcomes, strict=True
        )
    ]
    digest = sha256("\n".join((cause, *levels)).encode()).digest()
    first, second = sorted((one.number, other.number))
    return Question(cause, first, second, doubt * len(left) * len(right), digest)


def _telling(index: Index, left: Sequence[Entry], right: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Return the pairs across of which one speaks most: those that a conflict hides, and the best of the others.

    The score is the sum of the evidence, which takes ten times as long, but for what rounding makes of it.
    """
    pairs = list(product(left, right))
    if len(pairs) == 1:
        return pairs
    scores = [index.score(a, b) for a, b in pairs]
    best = max(scores) - _ROUNDING
    return [pair for pair, score in zip(pairs, scores, strict=True) if score >= best or score == -inf]


def _spoken(around: Surroundings, left: Sequence[Entry], right: Sequence[Entry]) -> float:
    """Return the average of the evidence, conflicts apart."""
    index = around.index
    scores = [evidence(index.matcher, index.prepared(a), index.prepared(b)).score for a, b in product(left, right)]
    return sum(scores) / len(scores)


def _numbers(entries: Collection[Entry]) -> list[int]:
    return [entry.number for entry in entries]
