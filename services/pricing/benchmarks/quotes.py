"""Processor time of a quote in process: price, guardrail, components and the bytes to sign.

python services/pricing/benchmarks/quotes.py [--rounds 20]
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

from rapport_pricing.domain.baskets import price_basket
from rapport_pricing.domain.guardrails import Quantity
from rapport_pricing.domain.law import shipped_law
from rapport_pricing.domain.lines import Line
from rapport_pricing.domain.promotions import Benefit, Promotion, PromotionBook, Scope
from rapport_pricing.domain.quotes import Quote, canonical
from rapport_pricing.domain.tax import TaxPolicy
from rapport_pricing.simulator.seller import GUARDRAILS
from rapport_testing.bench import Figure, Report

ROOT: Final = Path(__file__).resolve().parents[3]
CALLS: Final = 2000


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    report = Report("pricing-quotes", ROOT / "build" / "bench")
    law = shipped_law().in_force("DE", "books", date(2026, 11, 22))
    known = {Quantity.COST: 600, Quantity.PUBLISHED: 1000, Quantity.VISITS_SINCE_CHANGE: 40}
    tax = TaxPolicy()
    none, many = PromotionBook([]), PromotionBook(promotions(200))
    one = [line(0)]
    ten = [line(number) for number in range(10)]

    def quote(lines: list[Line], book: PromotionBook) -> bytes:
        basket = price_basket(lines, book, market="DE", at_us=5, tax=tax)
        return canonical(
            Quote("quo_1", "dec_1", "DE", "EUR", "web", "prf_1", basket, law.rule_ids, (), "", 5, 900_000_005)
        )

    subjects: dict[str, tuple[Callable[[], object], str]] = {
        "guardrails, four rules": (lambda: GUARDRAILS.guard(1040, known), ""),
        "quote of one line, bytes to sign": (lambda: quote(one, none), "<= 15 us"),
        "the same, 200 promotions": (lambda: quote(one, many), ""),
        "ten lines, 200 promotions": (lambda: quote(ten, many), ""),
    }
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(options.rounds):
        for name, (subject, _) in subjects.items():
            began = time.process_time()
            for _ in range(CALLS // 10):
                subject()
            taken[name].append((time.process_time() - began) / (CALLS // 10) * 1e6)
    for name, (_, budget) in subjects.items():
        report.add(Figure(name, statistics.median(taken[name]), "us", budget=budget))
    print(f"written to {report.write().relative_to(ROOT)}")


def line(number: int) -> Line:
    """Return a line of a basket."""
    return Line(
        f"prd_{number:08d}",
        "",
        f"category{number % 5}",
        f"brand{number % 3}",
        1 + number % 2,
        1999,
        3,
        190_000,
        900,
        "f",
    )


def promotions(count: int) -> list[Promotion]:
    """Return active promotions, most of them for other products."""
    draw = random.Random(1)
    return [
        Promotion(
            f"promotion{number}", 1, Benefit.PERCENT, 50_000, 0, 1000, order=number % 7,
            scope=Scope(products=frozenset(f"prd_{draw.randint(0, 2000):08d}" for _ in range(20)))
            if number % 10 else Scope(categories=frozenset({f"category{draw.randint(0, 30)}"})),
        )
        for number in range(count)
    ]  # fmt: skip


if __name__ == "__main__":
    main()
