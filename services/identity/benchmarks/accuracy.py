"""Accuracy of the matcher on public data, one configuration for all, no label seen by training.

    make bench-identity, or
    python services/identity/benchmarks/accuracy.py [--trained] [--only NAME …]

Two rows can be had for each set. `shipped` is the default matcher as it is in the package, nothing trained; it was
trained without labels on the records of four of these sets pooled, so its figures on them are not those on strangers'
data. `trained` is the same configuration trained, again without labels, on the records of the set itself, as
TrainMatcher does it on an installation's own.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import DATA_SETS, FOLDER, Labelled
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.matcher_json import load
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.resolution import Resolution, resolve


@dataclass(frozen=True, slots=True)
class Figures:
    """How far the persons found are the persons there are."""

    precision: float
    recall: float
    b_cubed: float
    largest: int
    largest_true: int
    household_share: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall over pairs of records."""
        return harmonic(self.precision, self.recall)


def harmonic(a: float, b: float) -> float:
    """Return the harmonic mean."""
    return 2 * a * b / (a + b) if a + b else 0.0


def measure(clusters: Iterable[Sequence[RecordKey]], rows: Sequence[Labelled]) -> Figures:
    """Return the figures of a partition: pairs over whole clusters, B-cubed over records.

    The share of households is that of false pairs, both persons of one household, among all pairs merged.
    """
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


def scenarios(resolution: Resolution, rows: Sequence[Labelled]) -> list[str]:
    """Return one line for each scenario of the truth set: passed, or what is joined or missed."""
    cluster_of = {key: index for index, cluster in enumerate(resolution.partition.clusters) for key in cluster}
    groups: dict[str, list[Labelled]] = defaultdict(list)
    for row in rows:
        groups[row.household or ""].append(row)
    lines = []
    for group, members in sorted(groups.items(), key=lambda item: int(item[0])):
        problems = []
        for i, one in enumerate(members):
            for other in members[i + 1 :]:
                together = cluster_of[one.record.key] == cluster_of[other.record.key]
                if together != (one.person == other.person):
                    verb = "joined" if together else "missed"
                    problems.append(f"{verb} {one.record.key.source_record_id}+{other.record.key.source_record_id}")
        lines.append(f"  {group}  {'pass' if not problems else ', '.join(problems)}")
    return lines


def report(name: str, kind: str, matcher: Matcher, rows: Sequence[Labelled]) -> Resolution:
    """Print a row of the table."""
    began = time.perf_counter()
    resolution = resolve((row.record for row in rows), matcher)
    figures = measure(resolution.partition.clusters, rows)
    print(
        f"{name:36} {kind:8} {figures.precision:.4f} {figures.recall:.4f} {figures.f1:.4f} {figures.b_cubed:.4f} "
        f"{figures.largest:4}/{figures.largest_true:<3} {figures.household_share:7.3%} "
        f"{len(resolution.partition.cuts):4} {time.perf_counter() - began:6.0f} s",
        flush=True,
    )
    return resolution


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(DATA_SETS), default=list(DATA_SETS))
    parser.add_argument("--trained", action="store_true", help="also train on each set; minutes")
    parser.add_argument("--matcher", help="another matcher instead of the one in the package")
    options = parser.parse_args()
    if not FOLDER.is_dir():
        print(f"skipped: the data sets are not at {FOLDER}")
        return
    shipped = load(Path(options.matcher).read_text("utf-8")) if options.matcher else default_matcher()
    print(
        f"{'data':36} {'matcher':8} {'P':6} {'R':6} {'F1':6} {'B3':6} {'largest':8} {'home':>7} {'cuts':>4} {'time':>8}"
    )
    for name in options.only:
        try:
            rows = DATA_SETS[name]()
        except ImportError as error:
            print(f"{name:36} skipped: {error}")
            continue
        matchers: Mapping[str, Matcher] = {"shipped": shipped}
        if options.trained and len(rows) > 500:
            from rapport_identity.adapters.training import train

            matchers = {**matchers, "trained": train(row.record for row in rows)}
        for kind, matcher in matchers.items():
            resolution = report(name, kind, matcher, rows)
            if name.startswith("Senzing"):
                print("\n".join(scenarios(resolution, rows)))


if __name__ == "__main__":
    main()
