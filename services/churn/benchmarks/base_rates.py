"""How many will leave: forecasts of the base rate on Retail, month by month, each made of what was closed by then.

    python services/churn/benchmarks/base_rates.py

Who leaves rather than whom is told well by the stack; the calibration error that is left is that of the base rate. Held
against the rhythm of buying are the shift that past windows would have needed, drawn towards none while there are few
(an expanding window), and the one that the same months needed a year ago, where the log holds a year.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from churn_data import instant, log_of
from logs import CUTOFFS, HORIZON, POPULATION
from rapport_churn.domain.calibration import calibration_error, chances, intercept_for, noise_floor
from rapport_churn.domain.facts import DAY
from rapport_churn.domain.features import FeatureSet
from rapport_churn.training.frame import Floats
from rapport_churn.training.members import rhythm_log_odds, rhythm_of
from rapport_churn.training.offline import rebuild
from rapport_testing.bench import Figure, write_figures

ROOT: Final = Path(__file__).resolve().parents[3]
YEAR: Final = 365 * DAY
NEAR: Final = 8 * DAY
DRAWN_TO_NONE: Final = 3.0
"""Windows that a shift of zero counts for."""


class Month(NamedTuple):
    """What the rhythm said of everybody at a cutoff, who left, and the shift that it would have needed."""

    labels: Floats
    odds: Floats
    shift: float


def months(dates: list[str]) -> dict[int, Month]:
    """Return each month by its cutoff."""
    found: dict[int, Month] = {}
    with log_of("retail") as log:
        now = log.span()[1] + DAY
        for cutoff in map(instant, dates):
            frame = rebuild(log, FeatureSet(()), [cutoff], HORIZON, now=now, population=POPULATION)
            rhythm = rhythm_of(frame)
            assert rhythm is not None
            odds, labels = rhythm_log_odds(rhythm, frame, HORIZON.days), frame.churned.astype(np.float64)
            found[cutoff] = Month(labels, odds, intercept_for(labels, odds))
    return found


def shifts(known: Mapping[int, Month], cutoff: int) -> dict[str, float]:
    """Return what each forecast adds to the log-odds at a cutoff, by what was closed then."""
    closed = {at: month.shift for at, month in known.items() if HORIZON.is_closed(at, cutoff)}
    year_ago = [shift for at, shift in closed.items() if abs(at + YEAR - cutoff) <= NEAR]
    return {
        "rhythm": 0.0,
        "expanding window": sum(closed.values()) / (len(closed) + DRAWN_TO_NONE),
        "newest closed": closed[max(closed)] if closed else 0.0,
        "a year ago": sum(year_ago) / (len(year_ago) + DRAWN_TO_NONE / 3) if year_ago else 0.0,
    }


def main() -> None:
    """Measure and print."""
    judged = CUTOFFS["retail"][0]
    known = months([*(f"2010-{month:02}-01" for month in range(2, 9)), *judged])
    errors: dict[str, list[float]] = {}
    floors = []
    for date in judged:
        cutoff = instant(date)
        labels, odds, needed = known[cutoff]
        floors.append(noise_floor(chances(odds + needed), seed=1))
        told = shifts(known, cutoff)
        for name, shift in told.items():
            errors.setdefault(name, []).append(calibration_error(labels, chances(odds + shift)))
        cells = "  ".join(f"{name} {shift:+.2f} ({errors[name][-1]:.3f})" for name, shift in told.items())
        print(f"{date}  {labels.mean():.3f} left; needed {needed:+.2f}: {cells}")
    figures = [
        Figure(f"retail ECE by {name}, mean", float(np.mean(each)), "", float(np.mean(floors)))
        for name, each in errors.items()
    ]
    for name, each in errors.items():
        print(f"  mean ECE by {name:<18}{np.mean(each):.3f}, noise floor {np.mean(floors):.3f}")
    write_figures(ROOT / "build" / "bench" / "churn-base-rates.jsonl", figures)


if __name__ == "__main__":
    main()
