"""How a model does: by what it said of people, and by what they did."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from churn_model import artefact
from rapport.churn.v1 import model_pb2, monitoring_pb2, score_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_churn.adapters import journal
from rapport_churn.adapters.log import FactLog
from rapport_churn.adapters.models import DatabaseModels
from rapport_churn.adapters.monitoring import Monitoring
from rapport_churn.adapters.registry import Registry
from rapport_churn.app.models import Promotion, Role, Stored
from rapport_churn.app.scores import Kept
from rapport_churn.app.times import micros_of
from rapport_churn.domain.drift import Distribution
from rapport_churn.domain.facts import DAY, Fact, FactKind
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.translate.scores import packed

HORIZON = 90
PEOPLE = 400
NAMES = [each.name for each in DEFAULT_FEATURES]


@pytest.fixture
async def monitoring(opened: Database, tmp_path: Path) -> Monitoring:
    registry = Registry(tmp_path)
    draw = np.random.default_rng(1)
    reference = [Distribution.of(name, draw.normal(size=2000)).as_json() for name in NAMES]
    digest = registry.put({**artefact(), "reference.json": json.dumps(reference).encode()})
    now = datetime.now(UTC)
    model = model_pb2.Model(model_id="mdl_00000001", horizon_days=HORIZON)
    model.trained_until.FromDatetime(now)
    async with opened.transaction() as connection:
        store = DatabaseModels(connection)
        await store.add(Stored("mdl_00000001", digest, model.SerializeToString(), "epoch", 1, now))
        await store.promote(Promotion(Role.CHAMPION, 1, "mdl_00000001", "", now, "somebody", "tested", False))
    return Monitoring(opened, registry, lambda who: (who,), SystemClock())


async def tell(database: Database, days_ago: float, *, shifted: str = "") -> None:
    """Say a chance of everybody, and have them come back as often as was said."""
    chance = random.Random(7)
    at = datetime.now(UTC) - timedelta(days=days_ago)
    kept: list[Kept] = []
    facts: list[Fact] = []
    for number in range(PEOPLE):
        who, leaves = f"prf_{days_ago}_{number}", chance.random()
        score = score_pb2.Score(model_id="mdl_00000001", horizon_days=HORIZON, tier=chance.choice(["new", "loyal"]))
        score.churn.add(days=HORIZON, probability=leaves)
        vector = [chance.gauss(1.0 if name == shifted else 0.0, 1.0) for name in NAMES]
        kept.append(Kept(f"dec_{who}", who, at, score.SerializeToString(), packed(vector)))
        bought = [micros_of(at) - 9 * DAY]
        if chance.random() > leaves:
            bought.append(micros_of(at) + chance.randrange(HORIZON * DAY))
        facts += [Fact(f"{who}_{each}", who, 1, FactKind.ORDER, each, each, 100) for each in bought]
    async with database.transaction() as connection:
        log = FactLog(database)
        await log.append(connection, await log.hold(connection), facts)
        await journal.write(connection, kept)


async def test_a_model_that_means_what_it_says_is_reported_so(opened: Database, monitoring: Monitoring) -> None:
    await tell(opened, 5)
    await tell(opened, HORIZON + 5)
    report = await monitoring(monitoring_pb2.GetMonitoringReportRequest())
    assert (report.model_id, report.scores, report.labelled) == ("mdl_00000001", PEOPLE, PEOPLE)
    assert [each.name for each in report.drift] == NAMES
    assert not [each.name for each in report.drift if each.drifted]
    area = next(each for each in report.quality if each.name == "auc")
    assert area.estimated == pytest.approx(area.observed, abs=0.06)
    assert report.calibration.error < 3 * report.calibration.noise_floor
    assert sum(each.rows for each in report.calibration.bins) == PEOPLE
    assert [(each.attribute, each.group) for each in report.groups] == [("tier", "loyal"), ("tier", "new")]


async def test_before_a_window_has_closed_the_quality_is_estimated_alone(
    opened: Database, monitoring: Monitoring
) -> None:
    await tell(opened, 5)
    report = await monitoring(monitoring_pb2.GetMonitoringReportRequest())
    assert (report.labelled, report.HasField("calibration"), len(report.groups)) == (0, False, 0)
    assert all(each.HasField("estimated") and not each.HasField("observed") for each in report.quality)


async def test_a_feature_that_moved_is_named(opened: Database, monitoring: Monitoring) -> None:
    await tell(opened, 5, shifted=NAMES[3])
    report = await monitoring(monitoring_pb2.GetMonitoringReportRequest())
    assert [each.name for each in report.drift if each.drifted] == [NAMES[3]]
    assert all((each.statistic > each.threshold) == each.drifted for each in report.drift)


async def test_a_model_of_whom_nothing_was_said_has_an_empty_report(opened: Database, monitoring: Monitoring) -> None:
    report = await monitoring(monitoring_pb2.GetMonitoringReportRequest(model_id="mdl_00000001", window_days=3))
    assert (report.scores, report.labelled, len(report.drift)) == (0, 0, 0)
