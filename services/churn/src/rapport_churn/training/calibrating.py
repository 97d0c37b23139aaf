"""Which calibrator held forward in time: chosen by looking back, each window with what could be known by then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rapport_churn.domain.calibration import NONE, Calibrator, chances, intercept_for, log_loss
from rapport_churn.domain.labels import Horizon
from rapport_churn.domain.stack import Member
from rapport_churn.training.backtest import Told
from rapport_churn.training.fitting import NotFittedError, fit_logistic

Floats = NDArray[np.float64]

_WORTH_IT: Final = 0.001


class Kind(StrEnum):
    """A kind of calibrator."""

    NONE = "none"
    INTERCEPT = "intercept"
    PLATT = "platt"
    RHYTHM = "rhythm"
    """As many are expected to leave as the rhythm of buying says, which is known without labels, to this day."""


def fit_calibrator(kind: Kind, labels: Floats, log_odds: Floats) -> Calibrator:
    """Return the calibrator that labels teach; one that would turn the order round, or does not settle, is none."""
    if kind in (Kind.NONE, Kind.RHYTHM) or not 0.0 < labels.mean() < 1.0:
        return NONE
    if kind is Kind.INTERCEPT:
        return Calibrator(1.0, intercept_for(labels, log_odds))
    try:
        fit = fit_logistic(log_odds[:, None], labels, ridge=1e-6)
    except NotFittedError:
        return NONE
    slope = float(fit.coefficients[0])
    return Calibrator(slope, fit.intercept) if slope > 0.0 else NONE


def to_rhythm(log_odds: Floats, rhythm: Floats) -> Calibrator:
    """Return the calibrator under which as many leave as the rhythm of buying says of the same people."""
    return Calibrator(1.0, intercept_for(chances(rhythm), log_odds))


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        kind: The kind.
        calibrator: Fitted on all windows. Of the kind of rhythm it changes nothing: that one is fitted where the model
            is to serve, by `to_rhythm`.
        losses: Mean log-loss of each kind.
        forward: What the stack would have said at each origin, calibrated as could be known then.
    """

    kind: Kind
    calibrator: Calibrator
    losses: Mapping[str, float]
    forward: tuple[Floats, ...]


def choose_calibrator(told: Sequence[Told], weights: Mapping[Member, float], horizon: Horizon | None) -> Choice:
    """Choose the kind that held best on what it was not fitted on.

    A kind for which there was nothing to fit it on yet changed nothing then.

    Args:
        told: In order of time.
        weights: Of the members.
        horizon: For origins: one calibrates for another only if its window was closed by then. None for folds, each of
            which is calibrated by all the others.
    """
    kinds = [kind for kind in Kind if kind is not Kind.RHYTHM or (told and Member.BGNBD in told[0].log_odds)]
    said: dict[Kind, list[Floats]] = {kind: [] for kind in kinds}
    for each in told:
        summed = each.summed(weights)
        known = [other for other in told if _closed(other, each, horizon)]
        for kind in kinds:
            said[kind].append(_apply(_fitted(kind, each, known, weights), summed))
    if not told:
        return Choice(Kind.NONE, NONE, {}, ())
    losses = {kind: _mean_loss(told, each) for kind, each in said.items()}
    kind = min(kinds, key=lambda each: losses[each])
    if losses[Kind.NONE] - losses[kind] < _WORTH_IT * (horizon is not None):
        kind = Kind.NONE
    calibrator = fit_calibrator(kind, *_together(told, weights))
    return Choice(kind, calibrator, {each.value: loss for each, loss in losses.items()}, tuple(said[kind]))


def _mean_loss(told: Sequence[Told], said: Sequence[Floats]) -> float:
    return float(np.mean([log_loss(each.labels, odds) for each, odds in zip(told, said, strict=True)]))


def _fitted(kind: Kind, each: Told, known: Sequence[Told], weights: Mapping[Member, float]) -> Calibrator:
    if kind is Kind.RHYTHM:
        return to_rhythm(each.summed(weights), each.log_odds[Member.BGNBD])
    return fit_calibrator(kind, *_together(known, weights)) if known else NONE


def _closed(other: Told, each: Told, horizon: Horizon | None) -> bool:
    return other.origin != each.origin if horizon is None else horizon.is_closed(other.origin, each.origin)


def _together(told: Sequence[Told], weights: Mapping[Member, float]) -> tuple[Floats, Floats]:
    return np.concatenate([each.labels for each in told]), np.concatenate([each.summed(weights) for each in told])


def _apply(calibrator: Calibrator, log_odds: Floats) -> Floats:
    return calibrator.slope * log_odds + calibrator.intercept
