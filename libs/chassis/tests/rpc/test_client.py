"""What a client does by itself when a call cannot be answered at once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, nullcontext
from typing import Any

import grpc
import pytest
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.waiting import eventually


def failing(times: int, reason: str, counted: list[int]) -> Any:
    """A behaviour that fails so often, then answers."""

    async def behaviour(request: Any, context: Any) -> Any:
        counted.append(1)
        if len(counted) <= times:
            raise CHASSIS_ERRORS.error(reason, "try later")
        return request

    return behaviour


async def test_an_idempotent_call_is_tried_again_while_the_server_is_unavailable(probe: Any) -> None:
    attempts: list[int] = []
    probe.servicer.behaviours["Answer"] = failing(2, "NOT_READY", attempts)
    assert (await probe.stub().Answer(probe.new(text="at last"))).text == "at last"
    assert len(attempts) == 3


@pytest.mark.parametrize(("method", "attempts"), [("Answer", 2), ("Write", 1)])
async def test_what_a_server_cancels_because_it_stops_counts_as_unavailable(
    probe: Any, method: str, attempts: int
) -> None:
    counted: list[int] = []

    async def stop_once(request: Any, context: Any) -> Any:
        counted.append(1)
        if len(counted) == 1:
            await context.abort(grpc.StatusCode.CANCELLED)
        return request

    probe.servicer.behaviours[method] = stop_once
    refused = pytest.raises(RemoteError, match="UNAVAILABLE") if attempts == 1 else nullcontext()
    with refused:
        await getattr(probe.stub(), method)(probe.new())
    assert len(counted) == attempts


async def test_a_call_that_is_not_idempotent_is_tried_once(probe: Any) -> None:
    attempts: list[int] = []
    probe.servicer.behaviours["Write"] = failing(1, "NOT_READY", attempts)
    with pytest.raises(RemoteError, match="NOT_READY"):
        await probe.stub().Write(probe.new())
    assert len(attempts) == 1


@pytest.mark.parametrize("reason", ["INTERNAL", "OVERLOADED", "REQUEST_IN_PROGRESS"])
async def test_any_other_failure_is_the_callers_to_judge(probe: Any, reason: str) -> None:
    attempts: list[int] = []
    probe.servicer.behaviours["Answer"] = failing(1, reason, attempts)
    with pytest.raises(RemoteError, match=reason):
        await probe.stub().Answer(probe.new())
    assert len(attempts) == 1


async def test_attempts_are_limited(probe: Any) -> None:
    attempts: list[int] = []
    probe.servicer.behaviours["Answer"] = failing(99, "NOT_READY", attempts)
    with pytest.raises(RemoteError, match="NOT_READY"):
        await probe.client(max_attempts=3).stub(probe.contract.stub).Answer(probe.new())
    assert len(attempts) == 3


async def test_a_service_that_a_client_learns_of_later_is_retried_too(probe: Any) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    attempts: list[int] = []
    probe.servicer.behaviours["Answer"] = failing(1, "NOT_READY", attempts)
    client = probe.client()
    await client.stub(health_pb2_grpc.HealthStub).Check(health_pb2.HealthCheckRequest())
    await client.stub(probe.contract.stub).Answer(probe.new())
    assert len(attempts) == 2


async def test_a_stream_that_is_left_early_is_cancelled_at_the_server(probe: Any) -> None:
    ended = asyncio.Event()

    async def forever(request: Any, context: Any) -> Any:
        try:
            while True:
                yield request
        finally:
            ended.set()

    probe.servicer.behaviours["Expand"] = forever
    async with aclosing(probe.stub().Expand(probe.new())) as answers:
        async for _ in answers:
            break
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_call_in_flight_survives_a_change_of_certificates(probe: Any) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def wait(request: Any, context: Any) -> Any:
        entered.set()
        await release.wait()
        return request

    probe.servicer.behaviours["Write"] = wait
    stub = probe.stub()
    slow = asyncio.create_task(stub.Write(probe.new(text="slow"), timeout=30))
    await entered.wait()
    probe.authority.issue("caller")

    async def reloaded() -> bool:
        await stub.Answer(probe.new())
        return '"event":"file_reloaded"' in probe.log.getvalue()

    await eventually(reloaded)
    release.set()
    assert (await slow).text == "slow"


async def test_files_that_do_not_fit_together_are_not_used(probe: Any) -> None:
    stub = probe.stub()
    await stub.Answer(probe.new())
    probe.authority.files("caller").key.write_bytes(probe.authority.files("reader").key.read_bytes())

    async def noticed() -> bool:
        await stub.Answer(probe.new())
        return '"event":"file_not_usable"' in probe.log.getvalue()

    await eventually(noticed)
    await stub.Answer(probe.new())
