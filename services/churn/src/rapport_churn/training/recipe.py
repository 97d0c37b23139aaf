"""The one recipe for anybody's data: a frame in, an artefact out; nothing is set by hand and nothing is assumed.

Whose rhythm of buying is known but not yet who stayed away gets BG/NBD alone; with some labels logistic regression
joins, and with enough of them trees. Their settings are searched, and their weights and the calibrator are chosen, by
looking back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.bgnbd import BgNbd
from rapport_churn.domain.calibration import Calibrator
from rapport_churn.domain.labels import Horizon
from rapport_churn.domain.linear import Linear
from rapport_churn.domain.stack import Member, Stack
from rapport_churn.training import backtest
from rapport_churn.training.backtest import Told
from rapport_churn.training.boosting import MOST_ROUNDS, SOUND, Settings, drawn
from rapport_churn.training.calibrating import Kind, choose_calibrator, to_rhythm
from rapport_churn.training.fitting import NotFittedError
from rapport_churn.training.frame import Frame
from rapport_churn.training.members import (
    Trees,
    choose_ridge,
    fit_linear,
    fit_stopped,
    fit_trees,
    folds_of,
    rhythm_log_odds,
    rhythm_of,
    thin,
    usable_columns,
)

Floats = NDArray[np.float64]
Progress = Callable[[str, float], None]

_ROWS_FOR_LOGISTIC: Final = 200
_ROWS_FOR_TREES: Final = 1000
_FEWEST_OF_A_KIND: Final = 30
_FOLDS: Final = 5
_EQUAL: Final = 0.001
_FINALISTS: Final = 4
_FIRST_SHARE: Final = 0.25


class NotLearnableError(Exception):
    """There is neither a rhythm of buying nor enough labels."""


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
class Learned:
    """What was learned.

    Attributes:
        used: Columns that were learned from.
        stack: How the members are put together.
        trees: The trees; None if they have no say.
        linear: Logistic regression; None if it has none.
        rhythm: BG/NBD; None for a plain table.
        told: What the members said at each origin, before calibration.
        forward: What the stack would have said at each, calibrated as could be known then.
        findings: What was tried and chosen, for the card.
    """

    used: tuple[int, ...]
    stack: Stack
    trees: Trees | None
    linear: Linear | None
    rhythm: BgNbd | None
    told: tuple[Told, ...]
    forward: tuple[Floats, ...] = ()
    findings: Mapping[str, Any] = field(default_factory=dict)

    def log_odds(self, frame: Frame, days: int) -> dict[Member, Floats]:
        """Return what each member says of other rows."""
        values = frame.values[:, list(self.used)]
        said: dict[Member, Floats] = {}
        if self.trees is not None:
            said[Member.LIGHTGBM] = self.trees.log_odds(values)
        if self.linear is not None:
            said[Member.LOGISTIC] = self.linear.log_odds(values)
        if self.rhythm is not None:
            said[Member.BGNBD] = rhythm_log_odds(self.rhythm, frame, days)
        return said

    def scores(self, frame: Frame, days: int) -> Floats:
        """Return the calibrated log-odds of other rows."""
        said = self.log_odds(frame, days)
        summed = sum((weight * said[member] for member, weight in self.stack.weights.items()), np.zeros(len(frame)))
        return self.stack.calibrator.slope * summed + self.stack.calibrator.intercept


def learn(
    frame: Frame,
    newest: Frame | None,
    horizon: Horizon,
    effort: Effort = Effort(),
    progress: Progress = lambda phase, share: None,
) -> Learned:
    """Learn from closed windows.

    Args:
        frame: Rows of closed windows, with labels; may be empty.
        newest: Rows of now, whose labels are not looked at; they teach the rhythm of buying. None for a plain table.
        horizon: How far labels look ahead.
        effort: How much is tried.
        progress: Is told the phase and its share done.

    Raises:
        NotLearnableError: There is neither a rhythm of buying nor enough labels.
    """
    rhythm = rhythm_of(newest) if newest is not None else None
    of_a_kind = min(int(frame.churned.sum()), int(len(frame) - frame.churned.sum())) if len(frame) else 0
    if len(frame) < _ROWS_FOR_LOGISTIC or of_a_kind < _FEWEST_OF_A_KIND:
        if rhythm is None:
            raise NotLearnableError("there are too few labels, and nobody has bought twice")
        return Learned((), Stack({Member.BGNBD: 1.0}), None, None, rhythm, (), (), {"stage": "rhythm alone"})
    used = usable_columns(frame)
    ridge = choose_ridge(thin(frame, effort.search_rows, 1), used)
    with_trees = len(frame) >= _ROWS_FOR_TREES
    instants = backtest.origins(frame, horizon, effort.origins) if rhythm is not None else []
    looking = _Looking(frame, used, horizon, ridge, effort, progress)
    plain = newest is None
    tried: list[dict[str, Any]] = []
    if with_trees and effort.like is not None:
        settings, rounds = effort.like
    elif with_trees:
        settings, rounds, tried = looking.search(instants)
    else:
        settings, rounds = SOUND, 0
    told = (
        looking.by_folds(settings, with_trees) if plain else looking.at_origins(instants, settings, rounds, with_trees)
    )
    members = [
        *([Member.LIGHTGBM] if with_trees else []),
        Member.LOGISTIC,
        *([Member.BGNBD] if rhythm is not None else []),
    ]
    weights = backtest.weigh(told, members) if told else dict.fromkeys(members, 1.0 / len(members))
    chosen = choose_calibrator(told, weights, None if plain else horizon)
    progress("fit", 0.0)
    whole = thin(frame, effort.rows, 2)
    values, labels = whole.values[:, used], whole.churned.astype(np.float64)
    columns = [frame.columns[at] for at in used]
    trees = fit_trees(values, labels, columns, settings, effort.seeds, rounds) if weights.get(Member.LIGHTGBM) else None
    linear = fit_linear(values, labels, columns, ridge) if weights.get(Member.LOGISTIC) else None
    progress("fit", 1.0)
    findings = {
        "stage": "stack" if with_trees else "logistic",
        "settings": settings.as_json(),
        "rounds": rounds,
        "tried": tried,
        "ridge": ridge,
        "calibrator": chosen.kind.value,
        "calibrator_losses": chosen.losses,
        "origins": instants,
    }
    stack = Stack(weights, chosen.calibrator if chosen.kind is not Kind.NONE else Calibrator())
    learned = Learned(tuple(used), stack, trees, linear, rhythm, tuple(told), chosen.forward, findings)
    if chosen.kind is not Kind.RHYTHM:
        return learned
    assert newest is not None
    assert rhythm is not None
    calibrator = to_rhythm(learned.scores(newest, horizon.days), rhythm_log_odds(rhythm, newest, horizon.days))
    return replace(learned, stack=Stack(weights, calibrator))


@dataclass
class _Looking:
    """Looks back at the rows of closed windows."""

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
