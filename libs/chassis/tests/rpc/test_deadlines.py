"""How long calls may take, here and onwards."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from rapport_chassis.rpc.deadlines import DeadlineTable, outgoing_timeout
from rapport_chassis.rpc.pipeline import current_call
from rapport_chassis.rpc.status import RemoteError

ANSWER = "rapport.probe.v1.ProbeService/Answer"
WRITE = "rapport.probe.v1.ProbeService/Write"
ROUNDING_S = 0.1  # gRPC rounds timeouts up on the wire


@pytest.fixture
def remaining(probe: Any) -> dict[str, float]:
    """Seconds that each method found left when it was called."""
    left: dict[str, float] = {}

    async def note(request: Any, context: Any) -> Any:
        call = current_call()
        left[call.method.name] = call.remaining_s()
        return request

    probe.servicer.behaviours |= {"Answer": note, "Write": note}
    return left


async def test_the_table_says_how_long_a_method_may_take(probe: Any, remaining: dict[str, float]) -> None:
    stub = probe.client(deadlines=DeadlineTable({WRITE: 0.8}, default_s=3)).stub(probe.contract.stub)
    await stub.Write(probe.new())
    await stub.Answer(probe.new())
    assert 0.3 < remaining["Write"] <= 0.8 + ROUNDING_S
    assert 2 < remaining["Answer"] <= 3 + ROUNDING_S


async def test_a_call_without_a_deadline_gets_the_servers(serve_probe: Any) -> None:
    probe = await serve_probe(default_deadline_s=0.2)

    async def wait(request: Any, context: Any) -> Any:
        await asyncio.Event().wait()

    probe.servicer.behaviours["Answer"] = wait
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await probe.raw("Answer")(b"")
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "came without a deadline" in (caught.value.details() or "")


async def test_a_timeout_of_the_handler_itself_is_no_deadline(probe: Any) -> None:
    async def time_out(request: Any, context: Any) -> Any:
        raise TimeoutError

    probe.servicer.behaviours["Answer"] = time_out
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await probe.raw("Answer")(b"")
    assert caught.value.code() is grpc.StatusCode.INTERNAL


async def test_a_call_past_its_deadline_is_cancelled_on_both_sides(probe: Any) -> None:
    cancelled = asyncio.Event()

    async def wait(request: Any, context: Any) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    probe.servicer.behaviours["Answer"] = wait
    with pytest.raises(RemoteError, match="DEADLINE_EXCEEDED"):
        await probe.stub().Answer(probe.new(), timeout=0.2)
    await asyncio.wait_for(cancelled.wait(), 10)


async def test_a_call_onwards_gets_what_the_caller_left_less_a_margin(probe: Any, remaining: dict[str, float]) -> None:
    onwards = probe.client("reader").stub(probe.contract.stub)
    bounds: list[tuple[float, float, float]] = []

    async def call_on(request: Any, context: Any) -> Any:
        before_s = current_call().remaining_s()
        onward_s = outgoing_timeout(None)
        bounds.append((current_call().remaining_s(), (onward_s or 0) + 0.020, before_s))
        return await onwards.Write(request)

    probe.servicer.behaviours["Answer"] = call_on
    await probe.stub().Answer(probe.new(), timeout=2)
    assert bounds[0] == tuple(sorted(bounds[0]))
    assert 1 < remaining["Write"] <= 2 + ROUNDING_S


async def test_the_table_still_bounds_a_call_onwards(probe: Any, remaining: dict[str, float]) -> None:
    client = probe.client("reader", deadlines=DeadlineTable({WRITE: 0.9}))
    onwards = client.stub(probe.contract.stub)

    async def call_on(request: Any, context: Any) -> Any:
        return await onwards.Write(request)

    probe.servicer.behaviours["Answer"] = call_on
    await probe.stub().Answer(probe.new(), timeout=4)
    assert remaining["Write"] <= 0.9 + ROUNDING_S


async def test_with_too_little_left_nothing_is_called(probe: Any, remaining: dict[str, float]) -> None:
    onwards = probe.client("reader").stub(probe.contract.stub)
    refused: list[str] = []

    async def call_on(request: Any, context: Any) -> Any:
        current_call().deadline_s -= 4.9  # as if this handler had already used most of the time
        try:
            await onwards.Write(request)
        except Exception as error:
            refused.append(str(error))
            raise

    probe.servicer.behaviours["Answer"] = call_on
    with pytest.raises(RemoteError) as caught:
        await probe.client(max_attempts=1).stub(probe.contract.stub).Answer(probe.new(), timeout=5)
    assert (caught.value.reason.name, caught.value.reason.code) == ("DEADLINE_TOO_SHORT", "DEADLINE_EXCEEDED")
    assert refused[0].startswith("DEADLINE_TOO_SHORT")
    assert "Write" not in remaining


async def test_a_stream_lives_as_long_as_its_caller_listens(serve_probe: Any) -> None:
    probe = await serve_probe(default_deadline_s=0.1)

    async def slow(request: Any, context: Any) -> Any:
        assert current_call().remaining_s() == float("inf")
        await asyncio.sleep(0.3)  # longer than a call with one answer may take here
        yield request

    probe.servicer.behaviours["Expand"] = slow
    assert len([answer async for answer in probe.stub().Expand(probe.new())]) == 1
