"""A trained model in memory: everything it says of a customer, with reasons, in one call.

The log-odds of a score are a sum of a base and of reasons, and are computed as that sum.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import fsum
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.batch import BatchTables
from rapport_churn.domain.features import Group, Summary
from rapport_churn.domain.labels import PopulationRule
from rapport_churn.domain.parts import MODEL, SPEND, SPENDS, TREES, Parts, UnusableArtefactError
from rapport_churn.domain.segments import segment, tier
from rapport_churn.domain.shap_tables import ShapTables
from rapport_churn.domain.stack import Member
from rapport_churn.domain.trees import NotTabulableError, UnreadableModelError, parse
from rapport_churn.domain.value import Value

Floats = NDArray[np.float64]

DAYS: Final = (30, 60, 90)

_SMALL: Final = 16
"""Leaves up to which many rows are scored faster by tables than by walking trees."""


class Kernel(Protocol):
    """Trees as the shared library runs them."""

    def log_odds(self, row: Floats) -> float:
        """Return the raw score of one row."""
        ...

    def contributions(self, row: Floats) -> Floats:
        """Return what each column adds to it, and the base last."""
        ...

    def log_odds_of(self, rows: Floats) -> Floats:
        """Return the raw scores of many rows."""
        ...

    def check(self, rows: Floats, log_odds: Floats) -> None:
        """Raise if the scores of some rows are not what they were in training."""
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """What a model says of a customer.

    Attributes:
        churn: Chance of no purchase within so many days; never less for a shorter time.
        log_odds: Of no purchase within the horizon; the base and the reasons sum to it.
        base: Log-odds of an average customer.
        reasons: What each group of reasons adds.
        value: What the customer is expected to spend; None where the model does not say.
        rank: Share of customers who are less likely to leave.
        segment: Segment by recency, frequency and spend; empty for a plain table.
        tier: Tier of the life cycle; empty for a plain table.
    """

    churn: Mapping[int, float]
    log_odds: float
    base: float
    reasons: Mapping[str, float]
    value: Value | None
    rank: float
    segment: str
    tier: str

    @property
    def repurchase(self) -> Mapping[int, float]:
        """Chance of a purchase within so many days."""
        return {days: 1.0 - chance for days, chance in self.churn.items()}


class Scorer:
    """Scores customers. Not for two threads at once; only many rows may be scored beside one.

    Args:
        parts: What `model.json` holds.
        files: The files of trees.
        open_kernel: Opens the text of trees.

    Raises:
        UnusableArtefactError: A file is missing or does not fit.
    """

    def __init__(self, parts: Parts, files: Mapping[str, bytes], open_kernel: Callable[[str], Kernel]) -> None:
        self.parts = parts
        self._used = np.array(parts.used, dtype=np.intp)
        self.groups = tuple(sorted({*(group for _, group, _ in parts.columns), Group.BUYING_RHYTHM.value}))
        places = {group: at for at, group in enumerate(self.groups)}
        self._groups = np.array([places[parts.columns[at][1]] for at in parts.used], dtype=np.intp)
        self._rhythm = places[Group.BUYING_RHYTHM.value]
        self._factors = {member: parts.stack.factor(member) for member in Member}
        self._kernels: dict[str, Kernel] = {}
        probes = np.array(parts.probes.get("rows", []))
        for name, kept in parts.probes.get("log_odds", {}).items():
            if name not in files:
                raise UnusableArtefactError(f"{name} is missing")
            self._kernels[name] = open_kernel(files[name].decode())
            self._kernels[name].check(probes, np.array(kept))
        self._tables: ShapTables | None = None
        self._batch: BatchTables | None = None
        self._trees_base = 0.0
        if self._factors[Member.LIGHTGBM]:
            self._open_tables(files)
        if self._factors[Member.LOGISTIC]:
            assert parts.logistic is not None
            self._linear_groups = self._groups[parts.logistic.scale.sources]

    @classmethod
    def load(cls, files: Mapping[str, bytes], open_kernel: Callable[[str], Kernel]) -> Self:
        """Open an artefact.

        Raises:
            UnusableArtefactError: The files are not one.
        """
        if MODEL not in files:
            raise UnusableArtefactError("model.json is missing")
        return cls(Parts.load(files[MODEL]), files, open_kernel)

    @property
    def horizon_days(self) -> int:
        """Days it was trained to look ahead."""
        return self.parts.horizon.days

    @property
    def population(self) -> PopulationRule:
        """Of whom it speaks."""
        return self.parts.population

    @property
    def exact_tables(self) -> bool:
        """Whether trees are explained by tables; else by walking them, as exactly and more slowly."""
        return self._tables is not None

    def score(self, vector: Sequence[float] | Floats, summary: Summary | None) -> Score:
        """Score a customer of the population.

        Args:
            vector: The features; NaN is unknown.
            summary: Of the purchases; None for a plain table.
        """
        row = np.asarray(vector, dtype=np.float64)[self._used]
        base, reasons = self._reasons(row, summary)
        log_odds = fsum((base, *reasons))
        parts = self.parts
        days = sorted({*DAYS, parts.horizon.days})
        known = summary is not None and parts.fifths is not None
        return Score(
            churn={each: parts.hazard.churn(log_odds, each) for each in days},
            log_odds=log_odds,
            base=base,
            reasons=dict(zip(self.groups, reasons, strict=True)),
            value=self._value(row, summary),
            rank=bisect_left(parts.ranks, log_odds) / len(parts.ranks) if parts.ranks else 0.5,
            segment=self._segment(summary) if summary is not None and known else "",
            tier=tier(summary, parts.horizon, parts.population).value if summary is not None else "",
        )

    def log_odds_of(self, vectors: Floats, summaries: Sequence[Summary] | None) -> Floats:
        """Return the log-odds of many customers, without reasons.

        Args:
            vectors: Rows by columns.
            summaries: One a row; None for a plain table.
        """
        rows, stack = vectors[:, self._used], self.parts.stack
        total = np.full(len(rows), stack.calibrator.intercept)
        if factor := self._factors[Member.LIGHTGBM]:
            many = self._batch or self._kernels[TREES]
            total += factor * many.log_odds_of(rows)
        if (factor := self._factors[Member.LOGISTIC]) and self.parts.logistic is not None:
            total += factor * self.parts.logistic.log_odds(rows)
        if factor := self._factors[Member.BGNBD]:
            assert summaries is not None
            total += factor * np.array([self._rhythm_odds(each) for each in summaries])
        return total

    def _open_tables(self, files: Mapping[str, bytes]) -> None:
        try:
            forest = parse(files[TREES].decode())
        except (UnreadableModelError, UnicodeDecodeError) as error:
            raise UnusableArtefactError(f"{TREES} cannot be read") from error
        self._trees_base = sum(tree.expected() for tree in forest.trees)
        with suppress(NotTabulableError):
            self._tables = ShapTables(forest, [int(group) for group in self._groups], len(self.groups))
        with suppress(NotTabulableError):
            if max(len(tree.leaf_values) for tree in forest.trees) <= _SMALL:
                self._batch = BatchTables(forest)

    def _reasons(self, row: Floats, summary: Summary | None) -> tuple[float, list[float]]:
        parts, factors = self.parts, self._factors
        base, reasons = parts.stack.calibrator.intercept, np.zeros(len(self.groups))
        if factor := factors[Member.LIGHTGBM]:
            base += factor * self._trees_base
            if self._tables is not None:
                reasons += factor * self._tables.contributions(row)
            else:
                walked = self._kernels[TREES].contributions(row)[:-1]
                reasons += factor * np.bincount(self._groups, walked, len(reasons))
        if (factor := factors[Member.LOGISTIC]) and parts.logistic is not None:
            base += factor * parts.logistic.intercept
            added = parts.logistic.contributions(row)
            reasons += factor * np.bincount(self._linear_groups, added, len(reasons))
        if factor := factors[Member.BGNBD]:
            centre = parts.centres[Member.BGNBD]
            base += factor * centre
            assert summary is not None
            reasons[self._rhythm] += factor * (self._rhythm_odds(summary) - centre)
        return base, reasons.tolist()

    def _rhythm_odds(self, summary: Summary) -> float:
        assert self.parts.bgnbd is not None
        frequency, recency, tenure, _ = summary
        return self.parts.bgnbd.log_odds_churn(frequency, recency, tenure, self.parts.horizon.days)

    def _value(self, row: Floats, summary: Summary | None) -> Value | None:
        model, rhythm = self.parts.value, 0.0
        if model is None or summary is None:
            return None
        frequency, recency, tenure, mean_value = summary
        if model.rhythm and self.parts.bgnbd is not None and self.parts.gamma_gamma is not None:
            purchases = self.parts.bgnbd.purchases(frequency, recency, tenure, model.days)
            rhythm = purchases * self.parts.gamma_gamma.mean_value(frequency, mean_value)
        if not model.trees:
            return model.of(rhythm, 0.0, 0.0)
        odds, size = self._kernels[SPENDS].log_odds(row), self._kernels[SPEND].log_odds(row)
        return model.of(rhythm, 1.0 / (1.0 + float(np.exp(-odds))), size)

    def _segment(self, summary: Summary) -> str:
        assert self.parts.fifths is not None
        silent = summary.tenure_days - summary.recency_days
        spend = summary.frequency * summary.mean_value
        return segment(self.parts.fifths.rank(silent, summary.frequency + 1, spend)).value
