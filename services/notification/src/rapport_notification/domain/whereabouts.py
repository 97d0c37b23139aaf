"""Where a person may be, from what is known: never narrower than the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DECLARED: Final = "declared"
"""The person said so: it stands alone."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One hint.

    Attributes:
        source: Of what kind: "declared", "address", "phone", "market".
        candidates: Zone and country, one of which may be ""; any of them may be meant.
    """

    source: str
    candidates: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a person may be, and from what.

    Attributes:
        candidates: Zone and country, in order.
        sources: Kinds of evidence that decided.
    """

    candidates: tuple[tuple[str, str], ...]
    sources: tuple[str, ...]


def whereabouts(evidence: Sequence[Evidence]) -> Whereabouts:
    """Put hints together: what was declared, else what all hints agree on, else everything any of them says.

    Evidence without a candidate says nothing. No evidence gives no candidate: the caller decides what that means.
    """
    heard = [each for each in evidence if each.candidates]
    declared = [each for each in heard if each.source == DECLARED]
    chosen = declared or heard
    if not chosen:
        return Whereabouts((), ())
    common = frozenset.intersection(*(each.candidates for each in chosen))
    candidates = common or frozenset.union(*(each.candidates for each in chosen))
    return Whereabouts(tuple(sorted(candidates)), tuple(sorted({each.source for each in chosen})))
