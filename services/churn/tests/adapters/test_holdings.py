"""What is held of people: what there is to take away from them, and who waits for a score."""

from __future__ import annotations

import pytest
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_churn.adapters.holdings import DatabaseHoldings
from rapport_churn.adapters.journal import Journal
from rapport_churn.adapters.log import FactLog
from rapport_churn.app.ports import Scope
from rapport_churn.app.states import States
from rapport_churn.app.withdrawals import Somebody
from rapport_churn.domain.facts import DAY, Fact, FactKind
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.vectors import Plan
from rapport_churn.telemetry import VOIDED
from rapport_testing.capture import TelemetryCapture
from rapport_testing.events import rows

AT = 20_000 * DAY
KNOWN, SURVIVOR, UNKNOWN = "prf_known", "prf_survivor", "prf_unknown"
DUE = "SELECT profile_id FROM scores WHERE rescore_at IS NOT NULL ORDER BY profile_id"
LOOKED_AT = "UPDATE scores SET rescore_at = NULL"


@pytest.fixture
async def holdings(opened: Database, telemetry_capture: TelemetryCapture) -> DatabaseHoldings:
    """Holdings with two orders of one person."""
    clock, meter, log = SystemClock(), telemetry_capture.telemetry.meter, FactLog(opened)
    async with opened.transaction() as connection:
        facts = [Fact(f"fct_{each}", KNOWN, 1, FactKind.ORDER, AT, AT, 1000, 1, 1) for each in range(2)]
        await log.append(connection, await log.hold(connection), facts)
    states = States(log, Plan(DEFAULT_FEATURES), 10)
    return DatabaseHoldings(opened, log, states, Journal(opened, meter, clock), meter.counter(VOIDED), clock)


async def test_who_waits_is_scored_once_permitted_and_nobody_of_whom_nothing_is_known(
    holdings: DatabaseHoldings, opened: Database
) -> None:
    assert await holdings.people("", 10) == [Somebody(KNOWN, waits=True)]
    await holdings.permitted([(KNOWN,), (UNKNOWN,)])
    assert await rows(opened, DUE) == [(KNOWN,)]
    assert await holdings.people("", 10) == [Somebody(KNOWN, waits=False)]
    async with opened.transaction() as connection:
        await connection.execute(LOOKED_AT)
    assert await holdings.people("", 10) == [Somebody(KNOWN, waits=True)]


async def test_who_stands_for_somebody_who_is_known_is_scored(holdings: DatabaseHoldings, opened: Database) -> None:
    await holdings.permitted([(SURVIVOR, KNOWN)])
    assert await rows(opened, DUE) == [(SURVIVOR,)]


async def test_only_what_is_in_the_scope_is_there_to_be_taken_away(holdings: DatabaseHoldings) -> None:
    assert await holdings.among([KNOWN, UNKNOWN], Scope.SCORES) == frozenset()
    assert await holdings.among([KNOWN, UNKNOWN], Scope.FACTS) == {KNOWN}
    assert await holdings.remove([KNOWN], Scope.FACTS)
    assert await holdings.among([KNOWN, UNKNOWN], Scope.FACTS) == frozenset()
    await holdings.permitted([(KNOWN,)])
    assert await holdings.among([KNOWN], Scope.ALL) == frozenset()
