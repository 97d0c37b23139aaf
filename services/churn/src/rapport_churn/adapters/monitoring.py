"""How a model does while it serves."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from rapport.churn.v1 import monitoring_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.times import set_stamp

from rapport_churn.adapters.models import DatabaseModels
from rapport_churn.app.models import Role, find_model, model_with_role

_WINDOW_DAYS: Final = 30
_COUNT: Final = "SELECT count(*) FROM scores WHERE model_id = %s AND scored_at >= %s AND body IS NOT NULL"


class Monitoring:
    """Reports on models.

    Args:
        database: Where scores are.
        clock: The time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def __call__(self, request: monitoring_pb2.GetMonitoringReportRequest) -> monitoring_pb2.MonitoringReport:
        """Say how a model does.

        Raises:
            RapportError: MODEL_NOT_FOUND, NOT_READY.
        """
        now = self._clock.now()
        since = now - timedelta(days=request.window_days or _WINDOW_DAYS)
        async with self._database.transaction() as connection:
            store = DatabaseModels(connection)
            model_id = request.model_id or (await model_with_role(store, Role.CHAMPION, None)).model_id
            await find_model(store, model_id)
            row = await (await connection.execute(_COUNT, (model_id, since))).fetchone()
        assert row is not None
        report = monitoring_pb2.MonitoringReport(model_id=model_id, scores=row[0])
        set_stamp(report.as_of, now)
        set_stamp(report.since, since)
        return report
