"""Puts together what reads the events of other contexts."""

from __future__ import annotations

from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.events.consumer import Consumer
from rapport_chassis.events.grouping import Together
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.permits import Permits

from rapport_churn.adapters.log import FactLog
from rapport_churn.definition import DEFINITION, SERVICE
from rapport_churn.entrypoints.subscriptions import CONSUMERS, SOURCES, Intake
from rapport_churn.settings import ChurnSettings
from rapport_churn.telemetry import FACTS
from rapport_churn.translate.facts import Facts


def consumers_of(
    settings: ChurnSettings,
    database: Database,
    nats: NatsConnection,
    telemetry: Telemetry,
    log: FactLog,
    permits: Permits,
    clock: Clock,
) -> list[Consumer]:
    """Return the consumers, one a context."""
    profiling = settings.profiling
    intake = Intake(
        Facts(profiling.currency),
        log,
        permits,
        purpose_id=profiling.purpose_id,
        brand_id=profiling.brand_id,
        log_purpose_ids=profiling.log_purpose_ids,
        counter=telemetry.meter.counter(FACTS),
    )
    return [
        Consumer(
            name,
            source,
            Together(intake.handle),
            context=SERVICE,
            events=SOURCES[source],
            nats=nats,
            database=database,
            telemetry=telemetry,
            release=DEFINITION.version,
            clock=clock,
        )
        for source, name in CONSUMERS.items()
    ]
