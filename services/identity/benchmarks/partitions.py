"""How far the persons found are the persons there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datasets import Labelled
from rapport_identity.domain.records import RecordKey


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a partition.

    Attributes:
        precision: Share of pairs that are one person, among those that were joined.
        recall: Share of pairs that were joined, among those that are one person.
        b_cubed: The harmonic mean of precision and recall over records.
        largest: Records of the largest person found.
        largest_true: Records of the largest person there is.
        household_share: Share of false pairs, both persons of one household, among all pairs that were joined.
        cuts: Components that were too large.
        seconds: How long it took to resolve the records, all at once.
    """

    precision: float
    recall: float
    b_cubed: float
    largest: int
    largest_true: int
    household_share: float
    cuts: int = 0
    seconds: float = 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall over pairs of records."""
        return harmonic(self.precision, self.recall)


def harmonic(a: float, b: float) -> float:
    """Return the harmonic mean."""
    return 2 * a * b / (a + b) if a + b else 0.0


def measure(clusters: Iterable[Sequence[RecordKey]], rows: Sequence[Labelled]) -> Figures:
    """Return the figures of a partition: pairs over whole clusters, B-cubed over records."""
    person = {row.record.key: row.person for row in rows}
    homes: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.household:
            homes[row.person].add(row.household)
    sizes = Counter(person.values())
    merged = true = relatives = largest = 0
    b_precision = b_recall = 0.0
    for cluster in clusters:
        counts = Counter(person[key] for key in cluster)
        size = len(cluster)
        largest = max(largest, size)
        merged += size * (size - 1) // 2
        for name, count in counts.items():
            true += count * (count - 1) // 2
            b_precision += count * count / size
            b_recall += count * count / sizes[name]
        names = sorted(counts)
        relatives += sum(
            counts[a] * counts[b] for i, a in enumerate(names) for b in names[i + 1 :] if homes[a] & homes[b]
        )
    wanted = sum(size * (size - 1) // 2 for size in sizes.values())
    return Figures(
        true / merged if merged else 1.0,
        true / wanted,
        harmonic(b_precision / len(rows), b_recall / len(rows)),
        largest,
        max(sizes.values()),
        relatives / merged if merged else 0.0,
    )
