"""How alike two texts are: the measures that a condition may name, and tests of them against a limit."""

from collections.abc import Callable, Mapping
from typing import Final

from rapidfuzz.distance import DamerauLevenshtein, Jaro, JaroWinkler, Levenshtein

from rapport_identity.domain.folding import Column

Judge = Callable[[Column, Column], bool]
"""Says whether two values are alike enough; what is no text never is."""


def _jaccard(left: str, right: str) -> float:
    a, b = set(left), set(right)
    return len(a & b) / len(a | b) if a or b else 0.0


SIMILARITIES: Final[Mapping[str, Callable[[str, str], float]]] = {
    "jaro_winkler_similarity": JaroWinkler.similarity,
    "jaro_similarity": Jaro.similarity,
    "jaccard": _jaccard,
}
"""By their names in SQL, from 0 to 1."""

DISTANCES: Final[Mapping[str, Callable[[str, str], int]]] = {
    "levenshtein": Levenshtein.distance,
    "damerau_levenshtein": DamerauLevenshtein.distance,
}
"""By their names in SQL, in edits."""


def judge_of(measure: str, limit: float) -> Judge:
    """Return what tests that a similarity is at least, or a distance at most, a limit."""
    if measure in SIMILARITIES:
        return _alike(SIMILARITIES[measure], limit)
    return _close(DISTANCES[measure], limit)


def _alike(similarity: Callable[[str, str], float], least: float) -> Judge:
    def alike(left: Column, right: Column) -> bool:
        return isinstance(left, str) and isinstance(right, str) and similarity(left, right) >= least

    return alike


def _close(distance: Callable[[str, str], int], most: float) -> Judge:
    def close(left: Column, right: Column) -> bool:
        if not isinstance(left, str) or not isinstance(right, str) or abs(len(left) - len(right)) > most:
            return False
        return distance(left, right) <= most

    return close
