"""Real processes, each with a gate, while all that they rest on is stopped, killed and lost: every decision judged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from consent_crowd import Crowd
from consent_desk import ROLES, Desk, open_desk
from consent_events import PROFILE_CONSUMER
from consent_stage import Stage
from rapport.consent.v1 import consent_pb2
from rapport_privacy.replica import Replica
from rapport_privacy.snapshot import SnapshotLoad
from rapport_testing.gate_history.judge import Windows
from rapport_testing.ledger_sources import Portrait, portrait
from rapport_testing.plugin import MakeProgress, Prove
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.heavy

SEED = 3
WINDOWS = Windows(bound_s=2.0, continuation_s=3.0)
TIGHTER = Windows(bound_s=1.0, continuation_s=1.5)


@pytest.fixture
async def stage(tmp_path: Path, scale: Scale) -> AsyncIterator[Stage]:
    """Servers, services and an observer; what continues does so for a short time, so that its end is seen."""
    made = await asyncio.to_thread(Stage, tmp_path, WINDOWS, durable=scale.is_full)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.stop)


async def test_no_decision_of_any_process_is_wrong_in_the_dangerous_direction(
    stage: Stage, scale: Scale, prove: Prove, progress: MakeProgress
) -> None:
    wanted = scale.pick(small=10_000, full=1_000_000)
    await stage.start()
    async with open_desk(stage.installation) as desk, open_desk(stage.installation, process="authority") as other:
        crowd = Crowd([desk, other], families=scale.pick(small=4, full=12), seed=SEED)
        await stage.ask(crowd.questions(), decisions_a_second=scale.pick(small=300, full=1500))
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.live())
            await have_everything_go_wrong(stage, crowd, wanted, scale)
            crowd.stop()
        await desk.until_serving(*ROLES)
        await until_quiet(stage, desk)
        await stage.end()
        await stage.observer.stop()
        bar = progress(stage.decisions(), "judged decisions of processes")
        judge = await stage.judge(stage.windows, bar.advance)
        assert not judge.condemned
        assert (await stage.judge(TIGHTER)).faults, "nothing came near to the bound"
        for held in stage.portraits():
            assert held == await ledger_portrait(desk, fences=held[1])
    assert judge.decisions >= wanted
    assert judge.answers[consent_pb2.ANSWER_PERMIT] > wanted / 20
    prove(
        "gate",
        process_decisions=judge.decisions,
        process_permits=judge.answers[consent_pb2.ANSWER_PERMIT],
        process_troubles=stage.troubles,
        ledger_writes=crowd.written,
        epochs=len({moment.epoch for moment in stage.observer.chronicle.moments}),
    )


async def have_everything_go_wrong(stage: Stage, crowd: Crowd, wanted: int, scale: Scale) -> None:
    """Each trouble once, then any of them until enough decisions have been taken."""

    async def standby_is_promoted() -> None:
        await stage.standby_is_promoted(lambda: crowd.written)

    troubles = [
        stage.relay_stops,
        stage.broker_stops,
        stage.authority_stops,
        stage.everything_dies,
        standby_is_promoted,
        *([stage.database_stops, stage.witness_dies] if scale.is_full else []),
    ]
    random = Random(SEED)
    for trouble in troubles:
        await happen(stage, trouble)
    while stage.decisions() < wanted:
        await happen(stage, random.choice(troubles))


async def happen(stage: Stage, trouble) -> None:
    """Let a trouble come to a world that has recovered from the one before."""
    await trouble()
    stage.troubles += 1
    await stage.until_all_follow()


async def until_quiet(stage: Stage, desk: Desk) -> None:
    """Wait until identity's events are followed, and every gate knows all there is to know."""
    async with stage.installation.broker().api() as api:

        async def followed() -> bool:
            info = await api.call(f"CONSUMER.INFO.RAPPORT_IDENTITY.{PROFILE_CONSUMER}", {})
            return not info["num_pending"] and not info["num_ack_pending"]

        await eventually(followed, timeout_s=60)
    head = await desk.head()
    await stage.observer.until_seen(head.position)
    await stage.until_all_know(head.epoch, head.position)


async def ledger_portrait(desk: Desk, *, fences: set[str]) -> Portrait:
    """What a replica holds that is loaded now. Fences that a lost server had raised stay with who heard of them."""
    load, replica = SnapshotLoad(), Replica()
    async for message in desk.shop.StreamSnapshot(consent_pb2.StreamSnapshotRequest()):
        load.take(message)
    replica.load(load)
    assert fences >= set(replica.fences)
    replica.fences.update(fences)
    return portrait(replica)
