"""What was told of customers and when they are scored again: by whose doing, and for whom that is worth it."""

from __future__ import annotations

from datetime import timedelta

from rapport_chassis.database.engine import Database
from rapport_chassis.telemetry.names import SpanName
from rapport_chassis.telemetry.propagation import traceparent
from rapport_churn.adapters.log import FactLog
from rapport_churn.adapters.rounds import DatabaseRounds
from rapport_churn.app.rescoring import Clearance, Telling
from rapport_churn.app.times import moment_of
from rapport_churn.domain.facts import DAY, Fact, FactKind
from rapport_churn.telemetry import SCORE_AGAIN, TELLINGS
from rapport_churn.translate.scores import Scores
from rapport_testing.capture import TelemetryCapture
from rapport_testing.events import rows

AT = 20_000 * DAY
NOW, LATER = moment_of(AT), moment_of(AT) + timedelta(hours=1)
HANDLING = SpanName("handling", "Enters facts.")


async def test_what_is_told_links_to_what_was_heard_once(opened: Database, telemetry_capture: TelemetryCapture) -> None:
    telemetry = telemetry_capture.telemetry
    log = FactLog(opened)
    handled: list[int] = []
    for who in ("prf_a", "prf_b"):
        with telemetry.tracer.span(HANDLING) as span:
            async with opened.transaction() as connection:
                fact = Fact(f"fct_{who}", who, 1, FactKind.ORDER, AT, AT, 1000, 1, 1)
                await log.append(connection, await log.hold(connection), [fact])
        handled.append(span.context.span_id)
    rounds = DatabaseRounds(opened, Scores("GBP"), telemetry.meter.counter(TELLINGS), telemetry.tracer)
    assert await rounds.hear(NOW)
    for now in (NOW, LATER):
        async with rounds.round("mdl_1", now, 10) as held:
            assert [each.profile_id for each in held.due] == ["prf_a", "prf_b"]
            await held.tell([Telling(each, now, LATER, clearance=Clearance.CHURNED, void=True) for each in held.due])
    async with rounds.round("mdl_1", NOW, 10) as held:
        assert not held.due
    first, second = telemetry_capture.spans(SCORE_AGAIN.name)
    assert [link.context.span_id for link in first.links] == handled
    assert not second.links
    written = [row[0] for row in await rows(opened, "SELECT headers ->> 'traceparent' FROM outbox ORDER BY seq")]
    assert written == [traceparent(each.context) for each in (first, first, second, second) if each.context]
