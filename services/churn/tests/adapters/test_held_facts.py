"""What a legal hold names outlives a withdrawal, out of use, until no hold keeps it any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from rapport.consent.v1 import purpose_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_churn.adapters.held_facts import FACTS, ReleasedFacts
from rapport_churn.adapters.holdings import DatabaseHoldings
from rapport_churn.adapters.journal import Journal
from rapport_churn.adapters.log import FactLog
from rapport_churn.adapters.privacy_holding import ChurnHolding
from rapport_churn.adapters.workshop import TrainingWorkshop
from rapport_churn.app.people import LedgerPeople
from rapport_churn.app.ports import Scope
from rapport_churn.app.states import States
from rapport_churn.domain.facts import DAY, Fact, FactKind
from rapport_churn.domain.features import DEFAULT_FEATURES
from rapport_churn.domain.vectors import Plan
from rapport_churn.telemetry import VOIDED
from rapport_privacy.participant import living
from rapport_privacy.participant.holding import Kept, StoreCount, Subject
from rapport_privacy.participant.journal import HeldRecords, Hold
from rapport_privacy.replica import Replica
from rapport_testing.capture import TelemetryCapture
from rapport_testing.clock import TestClock
from rapport_testing.events import rows
from rapport_testing.ledger_gate import LedgerGate
from rapport_testing.ledger_model import LedgerModel
from rapport_testing.waiting import eventually

AT = 20_000 * DAY
PURPOSE = "profiling.churn"
WHO, OTHER, SURVIVOR = "prf_who", "prf_other", "prf_survivor"
WAITS = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@dataclass
class Churn:
    """Three orders of one person and one of another, and all that may keep or delete them."""

    database: Database
    log: FactLog
    states: States
    holdings: DatabaseHoldings
    holding: ChurnHolding
    ledger: LedgerModel
    replica: Replica
    released: ReleasedFacts

    async def enter(self, *facts: Fact) -> None:
        async with self.database.transaction() as connection:
            await self.log.append(connection, await self.log.hold(connection), facts)

    async def place(self, hold_id: str, who: str, *fact_ids: str, until: datetime | None = None) -> None:
        """Place a hold on some facts; on everything of the person, if none is named."""
        records = HeldRecords(FACTS, fact_ids) if fact_ids else HeldRecords("")
        async with self.database.transaction() as connection:
            subject = Subject("req_1", (who,))
            await living.seclude(connection, subject)
            await living.hold(connection, subject, Hold(hold_id, "LEGAL_CLAIM", until, (records,)))

    async def release(self, hold_id: str) -> None:
        async with self.database.transaction() as connection:
            await living.unhold(connection, Hold(hold_id, "LEGAL_CLAIM", None, ()))

    async def logged(self, *who: str) -> list[str]:
        return [fact.fact_id for fact in (await self.log.of(who)).facts]

    async def held(self) -> list[str]:
        return [row[0] for row in await rows(self.database, "SELECT fact_id FROM held_facts ORDER BY fact_id")]

    async def erase(self, who: str) -> tuple[StoreCount, tuple[Kept, ...]]:
        """Erase a person, as the task of a privacy request does; return what became of the facts."""
        async with self.database.transaction() as connection:
            bare = Subject("req_2", (who,))
            await living.seclude(connection, bare)
            holds = await living.holds(connection, bare, SystemClock().now())
            answer = await self.holding.erase(connection, Subject("req_2", (who,), holds))
            await living.bury(connection, bare)
        return answer.stores[0], answer.kept

    async def exported(self, who: str) -> list[str]:
        async with self.database.transaction() as connection:
            found = self.holding.export(connection, Subject("req_3", (who,)))
            return [each.record_id async for each in found if each.store == FACTS]


def order(number: int, who: str = WHO, version: int = 1) -> Fact:
    return Fact(f"fct_{number}", who, version, FactKind.ORDER, AT + number, AT + number, 1000, 1, 1)


@pytest.fixture
async def churn(opened: Database, telemetry_capture: TelemetryCapture, test_clock: TestClock) -> Churn:
    meter, log, ledger = telemetry_capture.telemetry.meter, FactLog(opened), LedgerModel()
    ledger.define(PURPOSE, purpose_pb2.LEGAL_BASIS_CONSENT)
    known = LedgerGate(ledger, test_clock)
    gate, replica, people = known.gate, known.replica, LedgerPeople(known.replica)
    states = States(log, Plan(DEFAULT_FEATURES), 10)
    holdings = DatabaseHoldings(
        opened, log, states, Journal(opened, meter, test_clock), meter.counter(VOIDED), test_clock
    )
    released = ReleasedFacts(
        opened, lambda each: people.ids_of(gate.check(each, PURPOSE).profile_id), replica, test_clock
    )
    holding = ChurnHolding(holdings, lambda ids: None, PURPOSE, timedelta(days=365))
    made = Churn(opened, log, states, holdings, holding, ledger, replica, released)
    await made.enter(order(1), order(2), order(3), order(4, OTHER))
    return made


async def test_what_a_hold_names_leaves_the_log_with_the_rest_but_is_kept(churn: Churn, tmp_path: Path) -> None:
    await churn.place("hld_1", WHO, "fct_2")
    state = await churn.states.get((WHO,))
    assert len(state) == 3
    assert await churn.holdings.remove([WHO], Scope.FACTS)
    assert (await churn.logged(WHO), await churn.held()) == ([], ["fct_2"])
    assert len(await churn.states.get((WHO,))) == 0
    snapshot = await TrainingWorkshop(churn.database, tmp_path).write_down("op_1")
    assert snapshot.profile_ids == [OTHER]
    written = (tmp_path / "op_1" / "events" / "facts.csv").read_text()
    assert [line.partition(",")[0] for line in written.splitlines()] == ["fact_id", "fct_4"]
    assert await churn.exported(WHO) == ["fct_2"]


async def test_whoever_follows_the_log_forgets_also_one_of_whom_everything_is_held(churn: Churn) -> None:
    elsewhere = States(churn.log, Plan(DEFAULT_FEATURES), 10)
    assert len(await elsewhere.get((WHO,))) == 3
    await churn.place("hld_1", WHO)
    assert await churn.holdings.remove([WHO], Scope.FACTS)
    await elsewhere.catch_up()
    assert elsewhere.hit((WHO,)) is None
    assert await churn.held() == ["fct_1", "fct_2", "fct_3"]
    assert not await churn.holdings.remove([WHO], Scope.FACTS)


async def test_a_hold_that_is_placed_while_the_removal_waits_counts(churn: Churn) -> None:
    async with churn.database.transaction() as connection:
        subject = Subject("req_1", (WHO,))
        await living.seclude(connection, subject)
        removal = asyncio.create_task(churn.holdings.remove([WHO], Scope.FACTS))
        await eventually(lambda: rows(churn.database, WAITS))
        await living.hold(connection, subject, Hold("hld_1", "LEGAL_CLAIM", None, (HeldRecords(FACTS, ("fct_3",)),)))
    assert await removal
    assert (await churn.logged(WHO), await churn.held()) == ([], ["fct_3"])


async def test_a_new_grant_does_not_bring_back_what_was_kept_for_a_hold(churn: Churn) -> None:
    await churn.place("hld_1", WHO)
    await churn.holdings.remove([WHO], Scope.FACTS)
    await churn.holdings.permitted([(WHO,)])
    assert await rows(churn.database, "SELECT FROM scores WHERE rescore_at IS NOT NULL") == []
    await churn.enter(order(5))
    assert len(await churn.states.get((WHO,))) == 1
    assert await churn.exported(WHO) == ["fct_1", "fct_2", "fct_3", "fct_5"]
    await churn.release("hld_1")
    assert await churn.released.step()
    assert (await churn.logged(WHO), await churn.held()) == (["fct_5"], [])


async def test_held_facts_go_when_the_last_hold_that_keeps_them_does(churn: Churn) -> None:
    await churn.place("hld_1", WHO)
    await churn.place("hld_2", WHO, "fct_1")
    await churn.place("hld_3", OTHER)
    await churn.holdings.remove([WHO], Scope.FACTS)
    await churn.holdings.remove([OTHER], Scope.FACTS)
    assert not await churn.released.step()
    await churn.release("hld_1")
    assert await churn.released.step()
    assert await churn.held() == ["fct_1", "fct_4"]
    await churn.release("hld_2")
    assert await churn.released.step()
    assert await churn.held() == ["fct_4"]
    assert not await churn.released.step()


async def test_held_facts_go_when_the_hold_has_ended_by_itself(churn: Churn, test_clock: TestClock) -> None:
    await churn.place("hld_1", WHO, until=test_clock.now() + timedelta(days=1))
    await churn.holdings.remove([WHO], Scope.FACTS)
    assert not await churn.released.step()
    test_clock.advance(86_401)
    assert await churn.released.step()
    assert await churn.held() == []


async def test_a_hold_on_who_stands_for_the_person_since_keeps_the_facts(churn: Churn) -> None:
    await churn.place("hld_1", WHO)
    await churn.holdings.remove([WHO], Scope.FACTS)
    churn.ledger.merge(SURVIVOR, WHO)
    for change in churn.ledger.changes:
        churn.replica.apply(change)
    await churn.place("hld_2", SURVIVOR)
    await churn.release("hld_1")
    assert await churn.released.step()
    assert await churn.held() == ["fct_1", "fct_2", "fct_3"]
    assert not await churn.released.step()
    await churn.release("hld_2")
    assert await churn.released.step()
    assert await churn.held() == []


async def test_nothing_is_deleted_while_it_is_not_known_who_stands_for_whom(churn: Churn) -> None:
    await churn.place("hld_1", WHO)
    await churn.holdings.remove([WHO], Scope.FACTS)
    await churn.release("hld_1")
    churn.replica.chill()
    assert not await churn.released.step()
    assert await churn.held() == ["fct_1", "fct_2", "fct_3"]


async def test_an_erasure_tells_what_a_hold_keeps_and_takes_it_once_it_is_released(churn: Churn) -> None:
    await churn.place("hld_1", WHO, "fct_2")
    await churn.holdings.remove([WHO], Scope.FACTS)
    assert await churn.erase(WHO) == (StoreCount(FACTS, 1, 0), (Kept(FACTS, 1, "LEGAL_CLAIM", None),))
    await churn.release("hld_1")
    assert not await churn.released.step()  # the erasure asks again, and answers for it
    assert await churn.held() == ["fct_2"]
    assert await churn.erase(WHO) == (StoreCount(FACTS, 1, 1), ())
    assert await churn.held() == []


async def test_a_fact_that_turns_out_to_be_of_another_is_used_for_that_one_alone(churn: Churn) -> None:
    await churn.place("hld_1", WHO, "fct_2")
    await churn.holdings.remove([WHO], Scope.FACTS)
    await churn.enter(order(2, OTHER, version=2))
    assert await churn.logged(OTHER) == ["fct_2", "fct_4"]
    assert (await churn.logged(WHO), await churn.held()) == ([], ["fct_2"])
