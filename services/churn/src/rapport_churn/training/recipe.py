"""The one recipe for anybody's data: a frame in, an artefact out; nothing is set by hand and nothing is assumed.

Whose rhythm of buying is known but not yet who stayed away gets BG/NBD alone; with some labels logistic regression
joins, and with enough of them trees. Their settings are searched, and their weights and the calibrator are chosen, by
looking back.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from rapport_churn.training.boosting import SOUND
from rapport_churn.training.calibrating import Kind, choose_calibrator, to_rhythm
from rapport_churn.training.frame import Frame
from rapport_churn.training.looking import Effort, Looking, Progress
from rapport_churn.training.members import (
    Trees,
    choose_ridge,
    fit_linear,
    fit_trees,
    rhythm_log_odds,
    rhythm_of,
    thin,
    usable_columns,
)

Floats = NDArray[np.float64]

_ROWS_FOR_LOGISTIC: Final = 200
_ROWS_FOR_TREES: Final = 1000
_FEWEST_OF_A_KIND: Final = 30


class NotLearnableError(Exception):
    """There is neither a rhythm of buying nor enough labels."""


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
    effort: Effort,
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
    looking = Looking(frame, used, horizon, ridge, effort, progress)
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
