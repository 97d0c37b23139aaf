"""Why two records are one person or two, and who was kept out of a person: by key and code, no value.

Everything is read off the hot index, so an explanation cannot differ from what happened.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import islice
from typing import Final

from rapport_identity.domain.bonds import Bonds
from rapport_identity.domain.entries import Entry
from rapport_identity.domain.evidence import Counterfactual, Evidence, Verdict, counterfactual, evidence
from rapport_identity.domain.index import Index
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.sharing import Sharing
from rapport_identity.domain.surroundings import Decided, Decider, Surroundings

MOST_KEPT_APART: Final = 50
MOST_COMPARED: Final = 20_000
"""Pairs that are weighed in search of records that were kept out, at most."""


@dataclass(frozen=True, slots=True)
class MatchExplanation:
    """Why two records do or do not match."""

    evidence: Evidence
    decided: Decided
    counterfactual: Counterfactual


@dataclass(frozen=True, slots=True)
class KeptApart:
    """Records of two persons between which evidence spoke: the pair, its score, and what kept them apart."""

    inside: Entry
    outside: Entry
    score: float
    decided: Decided


def explain_match(index: Index, bonds: Bonds, one: Entry, other: Entry) -> MatchExplanation:
    """Return why two records do or do not match under the matcher of the index."""
    found = evidence(index.matcher, index.prepared(one), index.prepared(other))
    decided = Surroundings.of(index, bonds, one).decided(one, other)
    return MatchExplanation(found, decided, counterfactual(index.matcher, found))


def explain_by(matcher: Matcher, index: Index, bonds: Bonds, one: Entry, other: Entry) -> MatchExplanation:
    """Return what another matcher, and stewards, say of two records taken for themselves, without company."""
    found = evidence(matcher, *(matcher.prepare_columns(each.key, index.visible(each)) for each in (one, other)))
    verdict = found.verdict(matcher.join)
    required, forbidden = (bonds.between((one.number,), (other.number,), must=must) for must in (True, False))
    if forbidden:
        decided = Decided(Verdict.APART, Decider.CONSTRAINT, forbidden)
    elif required:
        decided = Decided(Verdict.TOGETHER, Decider.CONSTRAINT, required)
    elif found.conflicts and found.score >= matcher.join:
        decided = Decided(verdict, Decider.CONFLICT)
    else:
        decided = Decided(verdict, Decider.EVIDENCE)
    return MatchExplanation(found, decided, counterfactual(matcher, found))


def kept_apart(index: Index, bonds: Bonds, entries: Sequence[Entry]) -> list[KeptApart]:
    """Return the nearest records that were kept out of a person although evidence spoke for them, best first.

    Args:
        index: Where the records are.
        bonds: What stewards decided.
        entries: All records of the person.
    """
    inside = set(entries)
    surroundings = Surroundings.of(index, bonds, entries[0])
    best: dict[Entry, tuple[float, Entry]] = {}
    for entry, other in islice(_neighbours(index, bonds, entries), MOST_COMPARED):
        if other in inside:
            continue
        score = evidence(index.matcher, index.prepared(entry), index.prepared(other)).score
        if other not in best or (-score, entry.key) < (-best[other][0], best[other][1].key):
            best[other] = score, entry
    floor = index.matcher.fracture
    spoken = {
        other: found for other, found in best.items() if found[0] >= floor or surroundings.shared(found[1], other)
    }
    nearest = nlargest(MOST_KEPT_APART, spoken.items(), key=lambda each: (each[1][0], each[0].key))
    return [KeptApart(entry, other, score, surroundings.decided(entry, other)) for other, (score, entry) in nearest]


def _neighbours(index: Index, bonds: Bonds, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Yield those who meet a person's records, by a key, by what a few share, or by a steward's ban."""
    for entry in entries:
        for number in sorted(set(bonds.parted_from(entry.number))):
            if number in index:
                yield entry, index[number]
        for other in sorted(index.met(entry), key=lambda other: other.number):
            yield entry, other
        for other in index.sharers(entry, Sharing.HOUSEHOLD):
            yield entry, other
