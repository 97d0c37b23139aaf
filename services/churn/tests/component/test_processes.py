"""The roles as processes of their own, and what goes on while a neighbour is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from churn_desk import Desk, open_desk
from churn_events import days_ago, order
from churn_installation import PROFILING, ChurnInstallation, register, start_installation
from grpc_health.v1 import health_pb2
from rapport.churn.v1 import events_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.waiting import eventually

ROLES = ("api", "events", "relay")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChurnInstallation]:
    """One process for each role, and a second that answers."""
    made = start_installation(tmp_path_factory.mktemp("processes"))
    processes = [made.process(role, only=role) for role in ROLES] + [made.process("second", only="api")]
    try:
        for process in processes:
            process.start()
        yield made
    finally:
        for process in processes:
            process.kill()
        made.stop()


@pytest.fixture
async def desks(installation: ChurnInstallation) -> AsyncIterator[tuple[Desk, Desk]]:
    """Where two processes that answer are called from, once all are ready."""
    async with (
        open_desk(installation, process="api") as one,
        open_desk(installation, process="second") as other,
        open_desk(installation, process="events") as events,
        open_desk(installation, process="relay") as relay,
    ):
        for role, desk in zip((*ROLES, "api"), (one, events, relay, other), strict=True):
            await until_ready(desk, role)
        yield one, other


async def until_ready(desk: Desk, role: str) -> None:
    async def ready() -> bool:
        answer = await desk.health.Check(health_pb2.HealthCheckRequest(service=role))
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    await eventually(ready, timeout_s=30)


async def test_what_one_process_took_in_another_scores_a_third_tells_and_all_forget(
    desks: tuple[Desk, Desk],
) -> None:
    one, other = desks
    model_id = await register(one.installation)
    await one.promote(model_id)
    who = await one.customer(320, 310)
    for desk in desks:
        await desk.until_serving(model_id, who)
    decision = await one.score(who)

    async def raised() -> bool:
        return events_pb2.RiskRaised in [type(each) for each in await one.told(who)]

    await eventually(raised, timeout_s=20)
    await one.tell(order(who, days_ago(1)))
    for desk in desks:
        await desk.until_known(who, 3)

    async def explained() -> bool:
        try:
            return (await other.explain(decision.decision_id)).score == decision
        except RemoteError:
            return False

    await eventually(explained)
    one.installation.ledger.withdraw(who, PROFILING)
    for desk in desks:
        await desk.until_refused(who, "PROFILING_DENIED")

    async def void() -> bool:
        return [type(each) for each in await one.told(who)] == [events_pb2.RiskCleared]

    await eventually(void, timeout_s=20)
    one.installation.ledger.grant(who, PROFILING)
    for desk in desks:
        await desk.until_refused(who, "NOTHING_KNOWN")


async def test_scores_go_on_while_the_broker_is_away_and_stop_while_the_ledger_is(desks: tuple[Desk, Desk]) -> None:
    one, _ = desks
    model_id = await register(one.installation)
    await one.promote(model_id)
    who = await one.customer(60, 30)
    await one.until_serving(model_id, who)
    one.installation.nats.kill()
    try:
        assert (await one.score(who)).profile_id == who
    finally:
        one.installation.nats.start()
    one.installation.ledger.pause()
    try:
        error = await one.until_refused(who, "PERMISSION_UNKNOWN")
        assert error.retry_after_s
    finally:
        one.installation.ledger.resume()
    await one.until_serving(model_id, who)
