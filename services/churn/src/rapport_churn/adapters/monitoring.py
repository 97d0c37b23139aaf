"""How a model does while it serves: what customers look like now, what its chances imply, and how they held."""

from __future__ import annotations

import asyncio
import json
import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapport.churn.v1 import monitoring_pb2, score_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.times import set_stamp

from rapport_churn.adapters.models import DatabaseModels
from rapport_churn.adapters.registry import Registry
from rapport_churn.app.models import Role, Stored, find_model, model_with_role
from rapport_churn.app.times import micros_of
from rapport_churn.domain.drift import Distribution, look
from rapport_churn.domain.facts import DAY, FactKind
from rapport_churn.domain.fairness import audit
from rapport_churn.domain.quality import expect, hold_against
from rapport_churn.translate.models import horizon_of

Floats = NDArray[np.float64]

_WINDOW_DAYS: Final = 30
_MOST: Final = 10_000
_SEED: Final = 1
_BINS: Final = 10
_FEWEST: Final = 50
_REFERENCE: Final = "reference.json"
_DECISIONS: Final = """
SELECT profile_id, body, features, scored_at FROM decisions
WHERE scored_at >= %s AND scored_at < %s AND profile_id <> '' ORDER BY scored_at DESC LIMIT %s
"""
_ORDERS: Final = f"""
SELECT profile_id, occurred_at FROM facts WHERE profile_id = ANY (%s) AND kind = {FactKind.ORDER:d} ORDER BY occurred_at
"""  # noqa: S608 - made of constants

Closure = Callable[[str], tuple[str, ...]]
"""Returns every id that stands for the person for whom an id stands."""


class _Said(NamedTuple):
    profile_id: str
    chance: float
    tier: str
    features: bytes
    at: int


@dataclass(frozen=True)
class _Found:
    """What is looked at: scores of the window, and earlier ones of which it is known what became of them."""

    model_id: str
    since: datetime
    now: datetime
    reference: Sequence[Distribution]
    scores: Sequence[_Said]
    closed: Sequence[_Said]
    left: Sequence[bool]


class Monitoring:
    """Reports on models.

    Args:
        database: Where decisions and facts are.
        registry: Where artefacts are.
        closure: Says who is whose.
        clock: The time.
    """

    def __init__(self, database: Database, registry: Registry, closure: Closure, clock: Clock) -> None:
        self._database = database
        self._registry = registry
        self._closure = closure
        self._clock = clock

    async def __call__(self, request: monitoring_pb2.GetMonitoringReportRequest) -> monitoring_pb2.MonitoringReport:
        """Say how a model does.

        Raises:
            RapportError: MODEL_NOT_FOUND, MODEL_UNUSABLE, NOT_READY.
        """
        now = self._clock.now()
        window = timedelta(days=request.window_days or _WINDOW_DAYS)
        async with self._database.transaction() as connection:
            store = DatabaseModels(connection)
            model_id = request.model_id or (await model_with_role(store, Role.CHAMPION, None)).model_id
            model = await find_model(store, model_id)
        horizon = timedelta(days=horizon_of(model))
        scores = await self._said(model_id, now - window, now)
        closed = await self._said(model_id, now - window - horizon, now - horizon)
        closed, left = await self._left(closed, horizon // timedelta(days=1))
        reference = await asyncio.to_thread(self._reference, model)
        found = _Found(model_id, now - window, now, reference, scores, closed, left)
        return await asyncio.to_thread(_report, found)

    async def _said(self, model_id: str, since: datetime, until: datetime) -> list[_Said]:
        """The last that a model said of each customer in some time."""
        async with self._database.transaction() as connection:
            rows = await (await connection.execute(_DECISIONS, (since, until, _MOST))).fetchall()
        found: dict[str, _Said] = {}
        for profile_id, body, features, at in rows:
            score = score_pb2.Score.FromString(bytes(body))
            if score.model_id == model_id and profile_id not in found:
                chance = next(each.probability for each in score.churn if each.days == score.horizon_days)
                found[profile_id] = _Said(profile_id, chance, score.tier, bytes(features), micros_of(at))
        return list(found.values())

    async def _left(self, said: Sequence[_Said], days: int) -> tuple[list[_Said], list[bool]]:
        """Whether each bought nothing within the horizon; without those whose facts were taken away since."""
        ids = {each.profile_id: self._closure(each.profile_id) for each in said}
        orders = await self._orders({one for each in ids.values() for one in each})
        kept: list[_Said] = []
        left: list[bool] = []
        for each in said:
            times = sorted(time for one in ids[each.profile_id] for time in orders.get(one, ()))
            if not times:
                continue
            place = bisect_right(times, each.at)
            kept.append(each)
            left.append(place == len(times) or times[place] > each.at + days * DAY)
        return kept, left

    async def _orders(self, profile_ids: Collection[str]) -> Mapping[str, list[int]]:
        found: defaultdict[str, list[int]] = defaultdict(list)
        if profile_ids:
            async with self._database.transaction() as connection:
                for who, time in await (await connection.execute(_ORDERS, [list(profile_ids)])).fetchall():
                    found[who].append(time)
        return found

    def _reference(self, model: Stored) -> list[Distribution]:
        """What customers looked like in training; nothing where that was not kept."""
        file = self._registry.get(model.sha256).get(_REFERENCE)
        return [Distribution(**each) for each in json.loads(file)] if file else []


def _report(found: _Found) -> monitoring_pb2.MonitoringReport:
    report = monitoring_pb2.MonitoringReport(
        model_id=found.model_id, scores=len(found.scores), labelled=len(found.closed)
    )
    set_stamp(report.as_of, found.now)
    set_stamp(report.since, found.since)
    for each in look(found.reference, _vectors(found.scores, len(found.reference))):
        by_psi = each.psi * each.distance_bound >= each.distance * each.psi_bound
        report.drift.add(
            name=each.feature,
            statistic=each.psi if by_psi else each.distance,
            threshold=each.psi_bound if by_psi else each.distance_bound,
            drifted=each.drifted,
        )
    chances = np.array([each.chance for each in found.scores])
    expected = expect(chances, seed=_SEED) if len(chances) else None
    labels, said = np.array(found.left, dtype=np.float64), np.array([each.chance for each in found.closed])
    enough = len(labels) >= _FEWEST and 0.0 < labels.mean() < 1.0
    forward = hold_against(labels, said, seed=_SEED) if enough else None
    for name, label in (("auc", "area"), ("brier", "brier"), ("churn_rate", "rate")):
        report.quality.add(
            name=name,
            estimated=getattr(expected, label) if expected is not None else None,
            observed=getattr(forward, label) if forward is not None else None,
        )
    if forward is not None:
        report.calibration.error, report.calibration.noise_floor = forward.calibration_error, forward.noise_floor
        for part in np.array_split(np.argsort(said, kind="stable"), _BINS):
            report.calibration.bins.add(
                predicted=float(said[part].mean()), observed=float(labels[part].mean()), rows=len(part)
            )
        for group in audit(labels, said, [each.tier for each in found.closed]).groups:
            report.groups.add(
                attribute="tier",
                group=group.group,
                rows=group.rows,
                selected=group.picked,
                true_positive_rate=group.caught,
                false_positive_rate=group.false_alarms,
                calibration_gap=group.calibration_gap,
            )
    return report


def _vectors(said: Sequence[_Said], width: int) -> Floats:
    """The vectors that scores rest on, as far as they are of the same features."""
    rows = [struct.unpack(f"<{width}d", each.features) for each in said if len(each.features) == 8 * width]
    return np.array(rows).reshape(len(rows), width)
