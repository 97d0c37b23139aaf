"""What happens when more is asked than can be answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rapport_chassis.rpc.status import RemoteError


@pytest.fixture
async def full(serve_probe: Any) -> Any:
    """A probe that answers two calls at a time, and is busy with two."""
    probe = await serve_probe(max_in_flight=2)
    probe.release = asyncio.Event()
    entered = asyncio.Semaphore(0)

    async def wait(request: Any, context: Any) -> Any:
        entered.release()
        await probe.release.wait()
        return request

    probe.servicer.behaviours["Write"] = wait
    stub = probe.stub()
    probe.calls = [asyncio.create_task(stub.Write(probe.new())) for _ in range(2)]
    for _ in range(2):
        await entered.acquire()
    yield probe
    probe.release.set()
    await asyncio.gather(*probe.calls)


async def test_one_call_more_is_refused_at_once_with_when_to_come_back(full: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        await full.stub().Answer(full.new())
    assert (caught.value.reason.name, caught.value.reason.code) == ("OVERLOADED", "RESOURCE_EXHAUSTED")
    assert caught.value.retry_after_s == 0.25
    assert caught.value.metadata == {"max_in_flight": "2"}


async def test_health_is_answered_all_the_same(full: Any) -> None:
    answer = await full.client().stub(health_pb2_grpc.HealthStub).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_finished_call_makes_room(full: Any) -> None:
    full.release.set()
    await asyncio.gather(*full.calls)
    assert (await full.stub().Answer(full.new(text="in"))).text == "in"


async def test_who_may_not_call_takes_no_room_and_learns_nothing_of_the_load(full: Any) -> None:
    with pytest.raises(RemoteError, match="CALLER_UNKNOWN"):
        await full.stub("stranger").Answer(full.new())
