"""Write the matcher that ships: the default configuration trained, without labels, on public records pooled.

    python services/identity/tools/train_default.py

Sources and licences: the synthetic persons of pseudopeople (BSD-3), historical figures of splink_datasets (MIT, facts
from Wikidata), FEBRL 3 (BSD-3) and fake_1000 (MIT). Only values that twenty records or more hold are kept, rounded.
Needs the extras `train` and `bench`, and the data beside the project; takes minutes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from datasets import DATA_SETS  # noqa: E402 after the path that holds it
from rapport_identity.adapters.training import train, without_rare  # noqa: E402
from rapport_identity.domain.folding import fold_record  # noqa: E402
from rapport_identity.domain.matcher import Matcher  # noqa: E402
from rapport_identity.domain.matcher_json import dump  # noqa: E402

POOLED: Final = ("pseudopeople", "historical_50k_even", "FEBRL 3", "fake_1000")
HOUSEHOLDS: Final = "pseudopeople"
"""The one whose persons live together."""

LEAST: Final = 20
TARGET: Final = ROOT / "src/rapport_identity/domain/data/default_matcher.json"


def main() -> None:
    """Train and write."""
    pool = {name: [row.record for row in DATA_SETS[name]()] for name in POOLED}
    records = [record for held in pool.values() for record in held]
    trained = train(records)
    # Relatives are seen among those alone who have any here, and are to be expected among all customers.
    odds = trained.household_odds * len(records) / len(pool[HOUSEHOLDS])
    trained = replace(trained, household_odds=odds)
    folded = [fold_record(record) for record in records]
    counts = {column: sum(bool(record[column]) for record in folded) for column in trained.frequencies}
    TARGET.write_text(dump(rounded(without_rare(trained, counts, least=LEAST))) + "\n", "utf-8")


def rounded(matcher: Matcher) -> Matcher:
    """Return the matcher with frequencies of four significant digits."""
    return replace(
        matcher,
        frequencies={
            column: {value: float(f"{frequency:.4g}") for value, frequency in table.items()}
            for column, table in matcher.frequencies.items()
        },
    )


if __name__ == "__main__":
    main()
