"""A privacy request as churn meets it, over the wire: what is held is handed out, erased without a trace, or kept."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from churn_desk import Desk, open_desk
from churn_events import days_ago, order
from churn_installation import PROFILING, STREAM, ChurnInstallation, open_database, register, start_installation
from rapport.churn.v1 import events_pb2 as churn_events_pb2
from rapport.common.v1 import participant_pb2, participant_pb2_grpc, privacy_pb2
from rapport.consent.v1 import events_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.events.envelope import event_of
from rapport_chassis.ids import new_id
from rapport_testing.events import rows
from rapport_testing.waiting import eventually

COORDINATOR = "coordinator"
ACCESS, ERASE, PROBE, HOLD, UNHOLD = (
    privacy_pb2.PRIVACY_TASK_KIND_ACCESS,
    privacy_pb2.PRIVACY_TASK_KIND_ERASE,
    privacy_pb2.PRIVACY_TASK_KIND_PROBE,
    privacy_pb2.PRIVACY_TASK_KIND_HOLD,
    privacy_pb2.PRIVACY_TASK_KIND_UNHOLD,
)
HELD = privacy_pb2.LegalHold(hold_id="hld_1", ground="LEGAL_CLAIM")


async def ask(
    installation: ChurnInstallation, kind: privacy_pb2.PrivacyTaskKind.ValueType, who: str, request_id: str = ""
) -> privacy_pb2.PrivacyTaskCompleted:
    """Ask something of churn, as the coordinator of a request does, and return what it answers."""
    task_id = await send(installation, kind, who, request_id)
    return await answer(installation, task_id)


async def send(
    installation: ChurnInstallation, kind: privacy_pb2.PrivacyTaskKind.ValueType, who: str, request_id: str = ""
) -> str:
    asked = events_pb2.PrivacyTaskRequested(
        request_id=request_id or new_id("privacy_request"),
        task_id=new_id("task"),
        kind=kind,
        profile_ids=[who],
        participants=["churn"],
        hold=HELD if kind in (HOLD, UNHOLD) else None,
    )
    await installation.broker().publish(event_of(asked, source="consent", occurred_at=datetime.now(UTC)))
    return asked.task_id


async def answer(installation: ChurnInstallation, task_id: str) -> privacy_pb2.PrivacyTaskCompleted:
    async def told() -> list[privacy_pb2.PrivacyTaskCompleted]:
        stored = await installation.broker().stored(STREAM)
        found = [
            privacy_pb2.PrivacyTaskCompleted.FromString(each.data)
            for each in stored
            if ".privacy_task_completed." in each.subject
        ]
        return [each for each in found if each.task_id == task_id]

    (only,) = await eventually(told, timeout_s=30)
    return only


def found(task: privacy_pb2.PrivacyTaskCompleted) -> dict[str, int]:
    """What was found in each store."""
    return {each.store: each.found for each in task.stores}


async def test_a_person_gets_facts_and_scores_with_their_reasons_and_leaves_nothing_behind(
    desk: Desk, model_id: str
) -> None:
    installation = desk.installation
    installation.grant(COORDINATOR, ["privacy.exports.read"])
    who = await desk.customer(320, 310)
    decision = await desk.score(who)

    async def told() -> bool:
        return bool(await desk.told(who))

    await eventually(told, timeout_s=20)
    access = await ask(installation, ACCESS, who)
    client = installation.client(COORDINATOR, deadline_s=30)
    try:
        stub = client.stub(participant_pb2_grpc.ParticipantServiceStub)
        request = participant_pb2.ExportSubjectRequest(
            request_id=access.request_id, task_id=access.task_id, profile_ids=[who]
        )
        parts = [part async for part in stub.ExportSubject(request)]
    finally:
        await client.close()
    copy = {(part.store, each.record_id): json.loads(each.json) for part in parts for each in part.records}
    counts = {store: sum(each == store for each, _ in copy) for store in ("facts", "scores", "decisions")}
    assert counts == {store: number for store, number in found(access).items() if store in counts}
    assert (counts["facts"], counts["scores"]) == (2, 1)
    assert {each["kind"] for (store, _), each in copy.items() if store == "facts"} == {"order"}
    explained = copy["decisions", decision.decision_id]
    assert [each["reason"] for each in explained["reasons"]] == [each.code for each in decision.reasons]

    erased = await ask(installation, ERASE, who)
    assert erased.outcome == privacy_pb2.PRIVACY_TASK_OUTCOME_DONE
    assert {each.store: each.acted for each in erased.stores if each.store in counts} == counts
    assert not any(found(await ask(installation, PROBE, who)).values())
    again_asked = await ask(installation, ERASE, who)
    assert again_asked.outcome == privacy_pb2.PRIVACY_TASK_OUTCOME_NOTHING_HELD
    assert not await desk.told(who)  # nor the event that cleared the risk
    await desk.tell(order(who, days_ago(5)))
    again = await desk.customer(100)  # what still comes about the erased is dropped; others are taken in
    async with open_database(installation) as database:
        held = await rows(database, "SELECT profile_id FROM facts WHERE profile_id = ANY (%s)", [[who, again]])
        assert [row[0] for row in held] == [again]


@pytest.mark.heavy
def test_a_kill_in_the_middle_of_an_erasure_leaves_no_leak(tmp_path: Path) -> None:
    installation = start_installation(tmp_path)
    try:
        asyncio.run(_killed(installation))
    finally:
        installation.stop()


async def _killed(installation: ChurnInstallation) -> None:
    service = installation.process()
    service.arm("privacy.acted=kill")
    await asyncio.to_thread(service.start)
    async with open_desk(installation) as desk:
        await desk.until_ready()
        await desk.promote(await register(installation))
        who = await desk.customer(320, 310)
    works = installation.folder / "own" / "work" / "op_1"
    works.mkdir(parents=True)
    (works / "snapshot.json").write_text(json.dumps({"epoch": "e", "position": 2**40, "profile_ids": [who]}))
    task_id = await send(installation, ERASE, who)
    await asyncio.to_thread(service.wait_killed)
    service.arm()
    await asyncio.to_thread(service.start)
    try:
        erased = await answer(installation, task_id)
        assert {each.store: each.acted for each in erased.stores}["facts"] == 2
        assert not any(found(await ask(installation, PROBE, who)).values())
        assert not works.exists()
    finally:
        await asyncio.to_thread(service.kill)


async def facts_of(database: Database, who: str) -> tuple[int, int]:
    """How many facts of somebody are in the log, and how many are kept beside it."""
    statement = """
    SELECT (SELECT count(*) FROM facts WHERE profile_id = %(who)s),
        (SELECT count(*) FROM held_facts WHERE profile_id = %(who)s)
    """
    async with database.transaction() as connection:
        row = await (await connection.execute(statement, {"who": who})).fetchone()
    assert row is not None
    return row[0], row[1]


async def until_facts(database: Database, who: str, logged: int, held: int) -> None:
    async def so() -> bool:
        return await facts_of(database, who) == (logged, held)

    await eventually(so, timeout_s=20)


async def test_of_one_who_withdraws_a_legal_hold_keeps_facts_that_nothing_uses_until_it_is_released(
    desk: Desk, model_id: str
) -> None:
    installation, matter = desk.installation, new_id("privacy_request")
    who = await desk.customer(320, 310)

    async def is_told_of(kind: type[object]) -> bool:
        return any(type(each) is kind for each in await desk.told(who))

    await eventually(lambda: is_told_of(churn_events_pb2.RiskRaised), timeout_s=20)
    await ask(installation, HOLD, who, matter)
    installation.ledger.withdraw(who, PROFILING)
    await desk.until_refused(who, "PROFILING_DENIED")
    await eventually(lambda: is_told_of(churn_events_pb2.RiskCleared), timeout_s=20)

    async def is_nothing_said() -> bool:
        return not await is_told_of(churn_events_pb2.RiskRaised)

    await eventually(is_nothing_said, timeout_s=20)
    async with open_database(installation) as database:
        assert await facts_of(database, who) == (0, 2)
        assert found(await ask(installation, ACCESS, who))["facts"] == 2
        installation.ledger.grant(who, PROFILING)
        await desk.until_refused(who, "NOTHING_KNOWN")
        await desk.tell(order(who, days_ago(1)))
        await desk.until_known(who, 1)
        await ask(installation, UNHOLD, who, matter)
        await until_facts(database, who, 1, 0)


@pytest.mark.heavy
def test_a_kill_while_held_facts_are_set_aside_or_let_go_leaves_neither_a_leak_nor_a_loss(tmp_path: Path) -> None:
    installation = start_installation(tmp_path)
    try:
        asyncio.run(_killed_under_a_hold(installation))
    finally:
        installation.stop()


async def _killed_under_a_hold(installation: ChurnInstallation) -> None:
    service, matter = installation.process(), new_id("privacy_request")
    service.arm("churn.removed=kill")
    await asyncio.to_thread(service.start)
    try:
        async with open_desk(installation) as desk, open_database(installation) as database:
            await desk.until_ready()
            who = await desk.customer(320, 310)
            await ask(installation, HOLD, who, matter)
            installation.ledger.withdraw(who, PROFILING)
            await asyncio.to_thread(service.wait_killed)
            assert await facts_of(database, who) == (2, 0)
            service.arm("churn.released=kill")
            await asyncio.to_thread(service.start)
            await until_facts(database, who, 0, 2)
            await send(installation, UNHOLD, who, matter)
            await asyncio.to_thread(service.wait_killed)
            assert await facts_of(database, who) == (0, 2)
            service.arm()
            await asyncio.to_thread(service.start)
            await until_facts(database, who, 0, 0)
    finally:
        await asyncio.to_thread(service.kill)
