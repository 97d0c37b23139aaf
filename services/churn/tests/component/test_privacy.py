"""A privacy request as churn meets it, over the wire: what is held is handed out, and erased without a trace."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from churn_desk import Desk, open_desk
from churn_events import days_ago, order
from churn_installation import STREAM, ChurnInstallation, open_database, register, start_installation
from rapport.common.v1 import participant_pb2, participant_pb2_grpc, privacy_pb2
from rapport.consent.v1 import events_pb2
from rapport_chassis.events.envelope import event_of
from rapport_chassis.ids import new_id
from rapport_testing.events import rows
from rapport_testing.waiting import eventually

COORDINATOR = "coordinator"
ACCESS, ERASE, PROBE = (
    privacy_pb2.PRIVACY_TASK_KIND_ACCESS,
    privacy_pb2.PRIVACY_TASK_KIND_ERASE,
    privacy_pb2.PRIVACY_TASK_KIND_PROBE,
)


async def ask(
    installation: ChurnInstallation, kind: privacy_pb2.PrivacyTaskKind.ValueType, who: str
) -> privacy_pb2.PrivacyTaskCompleted:
    """Ask something of churn, as the coordinator of a request does, and return what it answers."""
    task_id = await send(installation, kind, who)
    return await answer(installation, task_id)


async def send(installation: ChurnInstallation, kind: privacy_pb2.PrivacyTaskKind.ValueType, who: str) -> str:
    asked = events_pb2.PrivacyTaskRequested(
        request_id=new_id("privacy_request"),
        task_id=new_id("task"),
        kind=kind,
        profile_ids=[who],
        participants=["churn"],
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
