"""Who is told that this process is ready, and when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.rpc.health import Health
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.capture import LogCapture
from rapport_testing.clock import TestClock
from rapport_testing.waiting import eventually

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Dependency:
    """Something that is there or not."""

    def __init__(self, *, there: bool) -> None:
        self.there = there

    async def check(self) -> None:
        if not self.there:
            raise CHASSIS_ERRORS.error("NOT_READY", "not there")


def status(health: Health, name: str) -> Any:
    answer = health.answer(name)
    return answer.status if answer else None


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
async def health(clock: TestClock) -> Any:
    made = Health(clock=clock)
    made.add_service("rapport.probe.v1.ProbeService")
    yield made
    made.end_watches()


async def tick(clock: TestClock, checks: int, seconds: float = 5) -> None:
    """Let every check run once more."""
    await eventually(lambda: clock.sleepers >= checks)
    clock.advance(seconds)
    await eventually(lambda: clock.sleepers >= checks)


async def test_nothing_is_ready_before_the_start(health: Health) -> None:
    assert {status(health, name) for name in ("", "api", "events", "relay", "liveness")} == {NOT_SERVING}


async def test_a_role_is_ready_once_all_its_checks_have_passed(health: Health, clock: TestClock) -> None:
    database, ledger = Dependency(there=True), Dependency(there=False)
    health.register("api", "database", database.check)
    health.register("api", "ledger", ledger.check)
    health.start()
    assert (status(health, "api"), status(health, "liveness")) == (NOT_SERVING, SERVING)
    await eventually(lambda: clock.sleepers == 2)
    assert status(health, "api") == NOT_SERVING
    ledger.there = True
    await tick(clock, 2)
    assert {status(health, name) for name in ("api", "", "rapport.probe.v1.ProbeService")} == {SERVING}


async def test_trouble_of_one_role_leaves_the_others_ready(health: Health, clock: TestClock) -> None:
    broker = Dependency(there=False)
    health.register("events", "broker", broker.check)
    health.start()
    await eventually(lambda: clock.sleepers == 1)
    assert (status(health, "events"), status(health, "api"), status(health, "")) == (NOT_SERVING, SERVING, SERVING)
    assert [(state.role, state.name, state.problem) for state in health.describe()] == [
        ("events", "broker", "NOT_READY")
    ]


async def test_a_check_that_hangs_counts_as_failed(health: Health) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    health.register("api", "hanging", hang, every_s=0.05)
    health.start()
    await eventually(lambda: health.describe()[0].problem == "TimeoutError")
    assert not health.ready("api")


async def test_only_changes_are_logged(health: Health, clock: TestClock, log_capture: LogCapture) -> None:
    database = Dependency(there=False)
    health.register("api", "database", database.check)
    health.start()
    for _ in range(3):
        await tick(clock, 1)
    database.there = True
    for _ in range(3):
        await tick(clock, 1)
    assert [event["reason"] for event in log_capture.named("check_failed")] == ["NOT_READY"]
    assert len(log_capture.named("check_passed")) == 1
    api = [event["state"] for event in log_capture.named("readiness_changed") if event["role"] == "api"]
    assert api == ["SERVING"]


async def test_a_process_without_the_api_is_ready_when_its_roles_are(clock: TestClock) -> None:
    health = Health(["relay"], clock)
    broker = Dependency(there=False)
    health.register("relay", "broker", broker.check)
    health.register("api", "of another process", broker.check)
    health.start()
    await eventually(lambda: clock.sleepers == 1)
    assert (status(health, ""), status(health, "api")) == (NOT_SERVING, None)
    broker.there = True
    await tick(clock, 1)
    assert status(health, "") == SERVING
    health.end_watches()


async def test_a_stopping_process_is_alive_but_not_ready(health: Health) -> None:
    health.start()
    health.not_serving()
    assert (status(health, "api"), status(health, "liveness")) == (NOT_SERVING, SERVING)


async def test_two_checks_of_one_name_are_a_mistake(health: Health) -> None:
    health.register("api", "database", Dependency(there=True).check)
    with pytest.raises(ValueError, match="already has a check"):
        health.register("api", "database", Dependency(there=True).check)


async def test_watchers_hear_of_each_change_and_of_the_end(probe: Any) -> None:
    stub = probe.client().stub(health_pb2_grpc.HealthStub)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="api"))
    assert (await anext(watch)).status == SERVING
    probe.server.health.not_serving()
    assert (await anext(watch)).status == NOT_SERVING
    probe.server.health.end_watches()
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


async def test_an_open_watch_does_not_hold_up_the_stop(serve_probe: Any) -> None:
    probe = await serve_probe(stop_grace_s=60)
    watch = probe.client().stub(health_pb2_grpc.HealthStub).Watch(health_pb2.HealthCheckRequest())
    await anext(watch)
    await asyncio.wait_for(probe.server.stop(), 10)
    await watch.aclose()


async def test_any_certificate_of_the_installation_may_ask(probe: Any) -> None:
    stub = probe.client("stranger").stub(health_pb2_grpc.HealthStub)
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == SERVING
    listed = await stub.List(health_pb2.HealthListRequest())
    assert {"", "api", "liveness", "rapport.probe.v1.ProbeService"} <= set(listed.statuses)


async def test_an_unknown_name_is_not_found(probe: Any) -> None:
    stub = probe.client().stub(health_pb2_grpc.HealthStub)
    with pytest.raises(RemoteError, match="NOT_FOUND"):
        await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
