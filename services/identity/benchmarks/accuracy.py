"""Accuracy of the matcher on public data, one configuration for all, no label seen by training.

    make bench-identity, or
    python services/identity/benchmarks/accuracy.py [--only NAME …] [--fresh]

Each set has two rows. `shipped` is the default matcher as it is in the package, nothing trained; it was trained without
labels on four of these sets, so its figures on them are not those on strangers' data. `trained` is the same
configuration trained, again without labels, on the records of the set itself, as TrainMatcher does it on an
installation's own. Then come the scenarios of the truth set, how often ids change while records arrive, and whether all
orders of arrival end in one partition.

A run that is stopped goes on where it was; `--fresh` measures all of it again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from datasets import DATA_SETS, FOLDER, Labelled
from ids import AT_ONCE, IdFigures, run_orders
from kept import ROOT, Kept, bar
from partitions import Figures, measure
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.matcher_json import dump, load
from rapport_identity.domain.resolution import Resolution, resolve
from rapport_testing.bench import Figure
from scenarios import scenarios

KINDS: Final = ("shipped", "trained")
TRUTH_SET: Final = "Senzing truth set"
LEAST: Final = 500
"""Records below which there is nothing to train on."""

Bound = tuple[Callable[[Figures], float], float, str]
F1: Final[Callable[[Figures], float]] = lambda found: 100 * found.f1  # noqa: E731 - a name in a table of bounds
BOUNDS: Final[Mapping[str, Mapping[str, Bound]]] = {
    "historical_50k_even": {"F1": (F1, 90.0, ">= 1")},
    "pseudopeople": {
        "F1": (F1, 96.5, ">= 1"),
        "precision": (lambda found: 100 * found.precision, 97.5, ">= 1"),
        "same household": (lambda found: 100 * found.household_share, 0.3, "<= 1"),
    },
    "FEBRL 3": {"F1": (F1, 99.9, ">= 1")},
}
"""What is promised, in percent."""

MOVES: Final[Mapping[str, float]] = {"historical_50k_even": 2.5, "pseudopeople": 0.7}
"""Records whose public id may change while all arrive one by one, in percent."""

HEADER: Final = (
    "data                               matcher       P       R      F1      B3  largest    home  cuts   time"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(DATA_SETS), default=list(DATA_SETS))
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--orders", type=int, default=20, help="random orders of arrival; 0 leaves ids out")
    parser.add_argument("--matcher", help="another matcher instead of the one in the package")
    parser.add_argument("--fresh", action="store_true", help="measure again what a stopped run measured")
    options = parser.parse_args()
    if not FOLDER.is_dir():
        print(f"skipped: the public data sets are not at {FOLDER}")
        return
    shipped = load(Path(options.matcher).read_text("utf-8")) if options.matcher else default_matcher()
    kept = Kept("identity-accuracy", fresh=options.fresh or bool(options.matcher))
    sets = read(options.only)
    figures = [*accuracy(sets, options.kinds, shipped, kept), *ids(sets, shipped, kept, options.orders)]
    missed = [each for each in figures if not _holds(each)]
    print(f"\nwritten to {kept.finish(figures).relative_to(ROOT)}")
    for each in missed:
        print(f"not reached: {each.bench}: {each.value:.3f} {each.unit}, {each.budget[:2]} {each.floor} asked for")


def read(names: Sequence[str]) -> dict[str, list[Labelled]]:
    """Return the data sets that can be read; say why of those that cannot."""
    sets = {}
    for name in names:
        try:
            sets[name] = DATA_SETS[name]()
        except (ImportError, OSError) as error:
            print(f"{name}: skipped: {error}")
    return sets


def accuracy(
    sets: Mapping[str, Sequence[Labelled]], kinds: Sequence[str], shipped: Matcher, kept: Kept
) -> list[Figure]:
    """Print the table of accuracy, and the scenarios; return what is promised."""
    todo = [(name, kind) for name, rows in sets.items() for kind in kinds if kind == "shipped" or len(rows) > LEAST]
    progress = bar(sum(len(sets[name]) for name, _ in todo), "records")
    print(HEADER)
    figures: list[Figure] = []
    told: dict[str, str] = {}
    for name, kind in todo:
        rows = sets[name]

        def run(name: str = name, kind: str = kind, rows: Sequence[Labelled] = rows) -> dict[str, Any]:
            matcher = shipped if kind == "shipped" else load(kept.get(f"matcher of {name}", lambda: _train(rows)))
            began = time.perf_counter()
            resolution = resolve((row.record for row in rows), matcher)
            found = asdict(measure(resolution.partition.clusters, rows))
            found |= {"seconds": time.perf_counter() - began, "cuts": len(resolution.partition.cuts)}
            return {"figures": found, "scenarios": _scenarios(name, resolution, rows, matcher)}

        result = kept.get(f"{name}, {kind}", run)
        found = Figures(**result["figures"])
        told |= result["scenarios"]
        print(_line(name, kind, found), flush=True)
        progress.advance(len(rows))
        for what, (value, bound, budget) in BOUNDS.get(name, {}).items():
            figures.append(Figure(f"{name}, {kind}: {what}", value(found), "%", bound, budget))
    _print_scenarios(told)
    return figures


def ids(sets: Mapping[str, Sequence[Labelled]], shipped: Matcher, kept: Kept, orders: int) -> list[Figure]:
    """Print how ids fare while records arrive, and whether all orders end alike; return what is promised."""
    todo = [name for name in MOVES if name in sets]
    if not todo or not orders:
        return []
    print("\nrecords arrive in random order      ids changed   merges   splits   partitions that all orders end in")
    figures = []
    for name in todo:
        found = _orders(name, len(sets[name]), shipped, kept, orders)
        one_by_one, share = found[0], 100 * found[0].moved / len(sets[name])
        ends = len({each.partition for each in found.values()})
        print(
            f"{name:34}{share:11.2f} % {one_by_one.merges:8,} {one_by_one.splits:8,}"
            f"   {ends} of {orders} orders and of all records at once",
            flush=True,
        )
        figures.append(Figure(f"{name}: ids changed", share, "%", MOVES[name], "<= 1"))
        figures.append(Figure(f"{name}: partitions of {orders} orders", ends, "", 1.0, "<= 1"))
    return figures


def _orders(name: str, count: int, shipped: Matcher, kept: Kept, orders: int) -> dict[int, IdFigures]:
    known = {order: kept.find(f"{name}, order {order}") for order in (0, AT_ONCE, *range(1, orders))}
    found = {order: IdFigures(*each) for order, each in known.items() if each}
    progress = bar(count * len(known), f"records of {name}")
    progress.advance(count * len(found))

    def done(order: int, figures: IdFigures) -> None:
        found[order] = figures
        kept.put(f"{name}, order {order}", figures)
        progress.advance(count)

    run_orders(name, shipped, [order for order in known if order not in found], done)
    return found


def _train(rows: Sequence[Labelled]) -> str:
    from rapport_identity.adapters.training import train

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # Splink is talkative
        return dump(train(row.record for row in rows))


def _scenarios(name: str, resolution: Resolution, rows: Sequence[Labelled], matcher: Matcher) -> dict[str, str]:
    return scenarios(resolution, rows, matcher) if name == TRUTH_SET else {}


def _line(name: str, kind: str, found: Figures) -> str:
    return (
        f"{name:34} {kind:8}{found.precision:8.4f}{found.recall:8.4f}{found.f1:8.4f}{found.b_cubed:8.4f}"
        f"{found.largest:5}/{found.largest_true:<3}{found.household_share:8.3%}{found.cuts:6}{found.seconds:5.0f} s"
    )


def _print_scenarios(told: Mapping[str, str]) -> None:
    if not told:
        return
    passed = sum(each == "pass" for each in told.values())
    print(f"\n{TRUTH_SET}, scenario by scenario: {passed} of {len(told)} pass")
    print(textwrap.fill("pass: " + ", ".join(each for each, what in told.items() if what == "pass"), 118))
    for each, what in told.items():
        if what != "pass":
            reason, shown = what.split("\n")
            print(f"  {each}: {reason}")
            print(textwrap.fill(shown, 118, initial_indent="       ", subsequent_indent="       "))


def _holds(figure: Figure) -> bool:
    return figure.ratio is None or (figure.ratio >= 1 if figure.budget[0] == ">" else figure.ratio <= 1)


if __name__ == "__main__":
    main()
