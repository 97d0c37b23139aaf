"""Looking back: what settings and members would have told at instants of the past, by what was known then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.labels import Horizon
from rapport_churn.domain.stack import Member
from rapport_churn.training import backtest
from rapport_churn.training.backtest import Told
from rapport_churn.training.boosting import MOST_ROUNDS, Settings, drawn
from rapport_churn.training.fitting import NotFittedError
from rapport_churn.training.frame import Frame
from rapport_churn.training.members import (
    fit_linear,
    fit_stopped,
    fit_trees,
    folds_of,
    rhythm_log_odds,
    rhythm_of,
    thin,
)

Floats = NDArray[np.float64]
Progress = Callable[[str, float], None]
"""Is told a phase and its share done."""

_FOLDS: Final = 5
_EQUAL: Final = 0.001
_FINALISTS: Final = 4
_FIRST_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried.

    Attributes:
        draws: Settings of trees that are tried.
        seeds: Of the bag of trees.
        origins: Instants of the past that are replayed.
        search_rows: Rows that a search learns from at most.
        rows: Rows that the model learns from at most.
        rounds: Rounds that trees are grown at most.
        cutoffs: Snapshots of the past that are learned from at most, the newest.
        people: People that are learned from at most.
        race: Whether all settings are tried on few rows first, and only those that told best then on more.
        like: Settings of trees to take instead of searching, and their rounds.
    """

    draws: int = 12
    seeds: tuple[int, ...] = (1, 2, 3)
    origins: int = 4
    search_rows: int = 20_000
    rows: int = 120_000
    rounds: int = MOST_ROUNDS
    cutoffs: int = 40
    people: int = 40_000
    race: bool = False
    like: tuple[Settings, int] | None = None


@dataclass(frozen=True)
class Looking:
    """Looks back at the rows of closed windows.

    Attributes:
        frame: The rows.
        used: Columns that are learned from.
        horizon: How far labels look ahead.
        ridge: Penalty of logistic regression.
        effort: How much is tried.
        progress: Is told the phase and its share done.
    """

    frame: Frame
    used: Sequence[int]
    horizon: Horizon
    ridge: float
    effort: Effort
    progress: Progress

    def search(self, instants: Sequence[int]) -> tuple[Settings, int, list[dict[str, Any]]]:
        """Draw settings, and return those that told best, their rounds, and what all came to.

        In a race settings that are far off on few rows already are not tried on more.
        """
        settings = list(drawn(self.effort.draws, 7, len(self.frame)))
        tried: list[dict[str, Any]] = []
        if self.effort.race and len(settings) > _FINALISTS:
            few = int(self.effort.search_rows * _FIRST_SHARE)
            losses, rounds = self._tried(settings, instants[-1:], few, 0.0, 0.3)
            places = np.argsort(losses, kind="stable")
            out = places[_FINALISTS:]
            tried = _noted([settings[at] for at in out], losses[out], rounds[out], few)
            settings = [settings[at] for at in np.sort(places[:_FINALISTS])]
        begins = 0.3 if tried else 0.0
        losses, rounds = self._tried(settings, instants[-2:], self.effort.search_rows, begins, 1.0)
        close = [at for at in range(len(settings)) if losses[at] <= losses.min() + _EQUAL * losses.min()]
        # Equally good: the smallest trees are explained fastest; of these the better ones.
        best = min(close, key=lambda at: (settings[at].leaves, losses[at]))
        self.progress("search", 1.0)
        tried = [*_noted(settings, losses, rounds, self.effort.search_rows), *tried]
        return settings[best], max(1, round(rounds[best])), tried

    def _tried(
        self, settings: Sequence[Settings], instants: Sequence[int], rows: int, begins: float, ends: float
    ) -> tuple[Floats, Floats]:
        """Return the mean loss of each of some settings, and the mean of its rounds.

        Trees are grown until held-out people are told best. At origins what was grown then is judged by what came
        after; where time cannot be replayed, by the people held out.
        """
        losses, rounds = np.zeros(len(settings)), np.zeros(len(settings))
        parts = self._parts(instants, rows)
        for number, (train, held, judged) in enumerate(parts):
            self.progress("search", begins + (ends - begins) * number / len(parts))
            values, labels = train.values[:, self.used], train.churned.astype(np.float64)
            fits = fit_stopped(values, labels, held, self._columns, settings, self.effort.rounds)
            seen = judged if judged is not None else train.rows(held)
            truth = seen.churned.astype(np.float64)
            for at, fit in enumerate(fits):
                losses[at] += backtest.shape_loss(truth, fit.log_odds(seen.values[:, self.used])) / len(parts)
                rounds[at] += fit.rounds / len(parts)
        return losses, rounds

    def _parts(self, instants: Sequence[int], rows: int) -> list[tuple[Frame, NDArray[np.bool_], Frame | None]]:
        if not instants:
            drawn_rows = thin(self.frame, rows, 3)
            fold = folds_of(drawn_rows.profiles, _FOLDS)
            return [(drawn_rows, fold == held, None) for held in range(_FOLDS)]
        parts: list[tuple[Frame, NDArray[np.bool_], Frame | None]] = []
        for origin in instants:
            past = self.frame.rows(backtest.trainable(self.frame, origin, self.horizon))
            train = thin(past, rows, 3)
            parts.append((train, folds_of(train.profiles, _FOLDS) == 0, self.frame.rows(self.frame.cutoffs == origin)))
        return parts

    @property
    def _columns(self) -> list[Any]:
        return [self.frame.columns[at] for at in self.used]

    def at_origins(self, instants: Sequence[int], settings: Settings, rounds: int, with_trees: bool) -> list[Told]:
        """Return what the members would have said at each origin."""
        told = []
        for number, origin in enumerate(instants):
            self.progress("backtest", number / len(instants))
            past = self.frame.rows(backtest.trainable(self.frame, origin, self.horizon))
            now = self.frame.rows(self.frame.cutoffs == origin)
            said = self._said(thin(past, self.effort.search_rows, 4), now, settings, rounds if with_trees else 0)
            if (rhythm := rhythm_of(now)) is not None:
                said[Member.BGNBD] = rhythm_log_odds(rhythm, now, self.horizon.days)
                told.append(Told(origin, now.churned.astype(np.float64), said))
        self.progress("backtest", 1.0)
        return told

    def by_folds(self, settings: Settings, with_trees: bool) -> list[Told]:
        """Return what the members say of each fold of people, learned from the other folds."""
        fold = folds_of(self.frame.profiles, _FOLDS)
        told = []
        for held in range(_FOLDS):
            self.progress("backtest", held / _FOLDS)
            out = fold == held
            values, labels = self.frame.values[:, self.used], self.frame.churned.astype(np.float64)
            said = {
                Member.LOGISTIC: fit_linear(values[~out], labels[~out], self._columns, self.ridge).log_odds(values[out])
            }
            if with_trees:
                (fit,) = fit_stopped(values, labels, out, self._columns, [settings], self.effort.rounds)
                said[Member.LIGHTGBM] = fit.log_odds(values[out])
            told.append(Told(held, labels[out], said))
        self.progress("backtest", 1.0)
        return told

    def _said(self, past: Frame, now: Frame, settings: Settings, rounds: int) -> dict[Member, Floats]:
        values, labels = past.values[:, self.used], past.churned.astype(np.float64)
        seen = now.values[:, self.used]
        said: dict[Member, Floats] = {}
        try:
            said[Member.LOGISTIC] = fit_linear(values, labels, self._columns, self.ridge).log_odds(seen)
        except NotFittedError:
            said[Member.LOGISTIC] = np.full(len(now), float(np.log(labels.mean() / (1.0 - labels.mean()))))
        if rounds:
            said[Member.LIGHTGBM] = fit_trees(values, labels, self._columns, settings, (1,), rounds).log_odds(seen)
        return said


def _noted(settings: Sequence[Settings], losses: Floats, rounds: Floats, rows: int) -> list[dict[str, Any]]:
    """Return what settings came to, for the card."""
    return [
        {**each.as_json(), "log_loss": float(loss), "rounds": float(count), "tried_on": rows}
        for each, loss, count in zip(settings, losses, rounds, strict=True)
    ]
