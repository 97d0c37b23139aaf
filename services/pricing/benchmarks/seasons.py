"""Measures what the seven worlds leave out: late outcomes, limited stock, new products, crowds, rivals, consent.

python services/pricing/benchmarks/seasons.py [--seeds 10]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

import numpy as np
from rapport_pricing.simulator.crowds import crowd_season, gather
from rapport_pricing.simulator.playing import play
from rapport_pricing.simulator.scenarios import build
from rapport_pricing.simulator.seasons import DistantSeller, Post, cold_start, stock_season
from rapport_pricing.simulator.seller import Seller
from rapport_testing.bench import Figure, Report

ROOT: Final = Path(__file__).resolve().parents[3]
PRODUCTS: Final = 20
VISITS: Final = 4000


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    os.nice(10)
    report = Report("pricing-seasons", ROOT / "build" / "bench")
    worlds = [build(3, seed) for seed in range(options.seeds)]
    prompt = [100 * play(Seller(world), world).share for world in worlds]
    report.add(Figure("scenario 3, outcomes at once", float(np.mean(prompt)), "%"))
    for delay in (500, 2000):
        late = [100 * play(DistantSeller(world, 1, Post(delay)), world).share for world in worlds]
        report.add(Figure(f"the same, {delay} visits late, 5 % twice, 5 % later", float(np.mean(late)), "%"))
    stock = [stock_season(world) for world in worlds]
    report.add(
        Figure("stock for half of what would sell", 100 * float(np.mean([s.share for s in stock])), "%", budget=">= 99")
    )
    report.add(Figure("the same, stock ignored", 100 * float(np.mean([s.ignoring for s in stock])), "%"))
    starts = [
        100 * np.array(cold_start([build(3, 1000 * turn + each, 500) for each in range(PRODUCTS)]))
        for turn in range(3 * options.seeds)  # they are short
    ]
    report.add(Figure("20 products, 500 visits each", float(np.mean(starts)), "%", budget=">= 95.5"))
    report.add(Figure("the last five of them", float(np.mean([each[-5:] for each in starts])), "%"))
    published: list[float] = []
    for consent in (0.0, 0.5, 1.0):
        crowds = [crowd_season(gather(seed, consent=consent, visits=VISITS)) for seed in range(options.seeds)]
        name = f"a crowd and a rival, {consent:.0%} consent"
        report.add(Figure(name, 100 * float(np.mean([each.personal for each in crowds])), "%"))
        published = published or [each.published for each in crowds]
        raised = [each.published / before for each, before in zip(crowds, published, strict=True)]
        report.add(Figure("the list price, over that without consent", 100 * float(np.mean(raised)), "%"))
    print(f"written to {report.write().relative_to(ROOT)}")


if __name__ == "__main__":
    main()
