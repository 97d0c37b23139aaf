"""The model card: what a model was made of, how it was chosen, how it does, and the root over whom it learned from."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from rapport_churn.domain.calibration import area
from rapport_churn.domain.facts import DAY
from rapport_churn.domain.features import ASSISTED_ORDERS, ONLINE_ORDERS, STORE_ORDERS
from rapport_churn.domain.judged import Judged
from rapport_churn.domain.membership import Membership
from rapport_churn.training.artefact import Scope, windows_of
from rapport_churn.training.backtest import judge
from rapport_churn.training.frame import Frame
from rapport_churn.training.recipe import Learned
from rapport_churn.training.spending import Spending

CARD: Final = "card.json"
MEMBERS: Final = "members.bin"
REFERENCE: Final = "reference.json"
_FORMAT: Final = 1
_CHANNEL: Final = "last_channel"
_GROUP_OF: Final = {
    channel: group
    for group, source in (("online", ONLINE_ORDERS), ("store", STORE_ORDERS), ("assisted", ASSISTED_ORDERS))
    for channel in source.channels
}
_LIBRARIES: Final = ("lightgbm", "numpy", "scipy", "duckdb")


@dataclass(frozen=True, slots=True)
class Origins:
    """Where what was learned from came from.

    Attributes:
        data: SHA-256 of each file of events, in hexadecimal, by its name.
        as_of: The training knew what had arrived by then, in microseconds.
        arrival_assumed_before: What arrived before was taken as known since it happened, in microseconds.
        seed: Of all chance.
        salt: Of the tags of people, in hexadecimal.
    """

    data: Mapping[str, str]
    as_of: int
    arrival_assumed_before: int
    seed: int
    salt: str


def write_card(
    frame: Frame, learned: Learned, spending: Spending | None, scope: Scope, origins: Origins, members: Membership
) -> bytes:
    """Return the card; the same training gives the same bytes."""
    told = {
        "format": _FORMAT,
        "data": dict(sorted(origins.data.items())),
        "as_of": origins.as_of,
        "arrival_assumed_before": origins.arrival_assumed_before,
        "seed": origins.seed,
        "salt": origins.salt,
        "rows": len(frame),
        "people": len(members.leaves),
        "rows_root": members.root.hex(),
        "trained_until": _until(frame, scope),
        "windows": windows_of(frame),
        "feature_set": scope.feature_set,
        "horizon": asdict(scope.horizon),
        "population": asdict(scope.population),
        "weights": {member.value: weight for member, weight in learned.stack.weights.items()},
        "calibrator": asdict(learned.stack.calibrator),
        "findings": learned.findings,
        "value": spending.findings if spending is not None else None,
        "metrics": metrics_of(learned),
        "by_cutoff": by_cutoff(learned),
        "made_with": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    }
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def metrics_of(learned: Learned) -> list[dict[str, Any]]:
    """Return the means of the figures over windows that were not trained on, each beside what it is held against."""
    if not learned.told:
        return []
    figures = [judge(each.labels, said) for each, said in zip(learned.told, learned.forward, strict=True)]
    mean = {name: float(np.mean([getattr(each, name) for each in figures])) for name in asdict(figures[0])}
    best = max(
        float(np.mean([area(each.labels, each.log_odds[member]) for each in learned.told]))
        for member in learned.told[0].log_odds
    )
    return [
        {"name": "auc", "value": mean["area"], "reference": best},
        {"name": "log_loss", "value": mean["log_loss"]},
        {"name": "brier", "value": mean["brier"]},
        {"name": "ece", "value": mean["calibration_error"], "reference": mean["noise_floor"]},
        {"name": "lift_10", "value": mean["lift"], "reference": 1.0},
    ]


def by_cutoff(learned: Learned) -> list[dict[str, Any]]:
    """Return the figures of each window that was looked back at, those of the members beside."""
    rows = []
    for each, said in zip(learned.told, learned.forward, strict=True):
        members = {member.value: asdict(judge(each.labels, odds)) for member, odds in each.log_odds.items()}
        rows.append({"at": each.origin, "stack": asdict(judge(each.labels, said)), **members})
    return rows


def _until(frame: Frame, scope: Scope) -> int:
    return int(frame.cutoffs.max()) + scope.horizon.days * DAY if len(frame) else 0


def judged_of(frame: Frame, learned: Learned) -> Judged | None:
    """Return the newest window that was looked back at; None if none was.

    People are grouped by where they buy: what no business reason explains must not decide who is caught.
    """
    if not learned.told or not len(frame.frequency):
        return None
    told, said = learned.told[-1], learned.forward[-1]
    rows = frame.rows(frame.cutoffs == told.origin)
    names = [column.name for column in frame.columns]
    channels = rows.values[:, names.index(_CHANNEL)] if _CHANNEL in names else np.zeros(len(rows))
    groups = np.array([_GROUP_OF.get(int(each), "") if each == each else "" for each in channels], dtype=np.str_)
    summaries = np.column_stack([rows.frequency, rows.recency, rows.tenure, rows.mean_value])
    return Judged(told.origin, rows.values, summaries, told.labels, said, groups)


def members_of(frames: Sequence[Frame], people: Sequence[str], salt: bytes) -> Membership:
    """Return whom a model was learned from.

    Args:
        frames: The rows with labels; and those of now, which teach the rhythm of buying.
        people: The id of each number.
        salt: Of this model.
    """
    rows = (pair for frame in frames for pair in zip(frame.profiles.tolist(), frame.cutoffs.tolist(), strict=True))
    return Membership.of(((people[profile], cutoff) for profile, cutoff in rows), salt)
