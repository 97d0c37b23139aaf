"""Fits elasticities to the orange-juice panel: each with its interval and the variation that identifies it.

python services/pricing/benchmarks/elasticity.py [--data ../shared/data/pricing/oj_3brand_large.csv.gz]
"""

from __future__ import annotations

import argparse
import csv
import gzip
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from rapport_chassis.errors import RapportError
from rapport_pricing.domain.elasticity import Codes, Elasticity, Variation, estimate
from rapport_testing.bench import Figure, write_figures

ROOT: Final = Path(__file__).resolve().parents[3]
DATA: Final = ROOT.parent / "shared" / "data" / "pricing" / "oj_3brand_large.csv.gz"


def main() -> None:
    """Fit, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    if not options.data.exists():
        print(f"no data at {options.data}: nothing to fit")
        return
    columns = read(options.data)
    figures = []
    print(f"{'what is held fixed':<44}{'elasticity':>11}{'95 % interval':>18}{'spread':>8}  variation")
    for name, found in fits(columns):
        interval = f"{found.low:.2f} to {found.high:.2f}"
        print(f"{name:<44}{found.value:11.2f}{interval:>18}{found.spread:8.3f}  {found.variation.value}")
        figures.append(Figure(name, found.value, "elasticity"))
    try:
        flat = np.full(len(columns["price"]), 0.3) + 0.001 * columns["price"]
        estimate(columns["sold"], flat, fixed=[], clusters=codes(columns["store"]), variation=Variation.POOLED)
    except RapportError as refused:
        print(f"prices that hardly vary: {refused}")
    print(
        f"written to {write_figures(ROOT / 'build' / 'bench' / 'pricing-elasticity.jsonl', figures).relative_to(ROOT)}"
    )


def read(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Return the logarithms of quantity and price, the feature flag, and brand, store and week as numbers."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {name.lower(): name for name in rows[0]}
    brands = sorted({row[names["brand"]] for row in rows})

    def column(name: str) -> npt.NDArray[np.float64]:
        return np.array([float(row[names[name]]) for row in rows])

    return {
        "sold": column("logmove"),
        "price": column("lp"),
        "feature": column("feat"),
        "brand": np.array([float(brands.index(row[names["brand"]])) for row in rows]),
        "store": column("store"),
        "week": column("week"),
    }


def codes(values: npt.NDArray[np.float64]) -> Codes:
    """Return codes from 0 for the distinct values."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def fits(columns: dict[str, npt.NDArray[np.float64]]) -> list[tuple[str, Elasticity]]:
    """Return every specification with its estimate; errors are robust to dependence within a store."""
    brand, store, week = (codes(columns[name]) for name in ("brand", "store", "week"))
    feature = columns["feature"][:, None]
    sold, price = columns["sold"], columns["price"]
    pooled, within, all_three = Variation.POOLED, Variation.WITHIN_PRODUCT, Variation.WITHIN_PRODUCT_STORE_TIME
    found = [
        ("nothing", estimate(sold, price, fixed=[], clusters=store, variation=pooled)),
        ("brand", estimate(sold, price, fixed=[brand], clusters=store, variation=within)),
        (
            "brand, advertising",
            estimate(sold, price, fixed=[brand], clusters=store, variation=within, controls=feature),
        ),
        (
            "brand, store, week, advertising",
            estimate(sold, price, fixed=[brand, store, week], clusters=store, variation=all_three, controls=feature),
        ),
    ]
    for each in range(int(brand.max()) + 1):
        mine = brand == each
        its = estimate(
            sold[mine], price[mine], fixed=[codes(columns["store"][mine]), codes(columns["week"][mine])],
            clusters=codes(columns["store"][mine]), variation=all_three, controls=feature[mine],
        )  # fmt: skip
        found.append((f"brand {each} alone, store, week, advertising", its))
    return found


if __name__ == "__main__":
    main()
