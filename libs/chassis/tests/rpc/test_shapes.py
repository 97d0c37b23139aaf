"""Every shape of method passes through the same middlewares."""

from __future__ import annotations

from typing import Any

import pytest
from rapport_chassis.rpc.pipeline import Call, current_call


async def _each(*messages: Any) -> Any:
    for message in messages:
        yield message


async def test_one_request_gets_one_answer(probe: Any) -> None:
    assert (await probe.stub().Answer(probe.new(text="hello"))).text == "hello"


async def test_one_request_gets_many_answers(probe: Any) -> None:
    request = probe.new(parts=[probe.new(text="a"), probe.new(text="b")])
    assert [answer.text async for answer in probe.stub().Expand(request)] == ["a", "b"]


async def test_many_requests_get_one_answer(probe: Any) -> None:
    answer = await probe.stub().Gather(_each(probe.new(text="a"), probe.new(text="b"), probe.new(text="c")))
    assert (answer.text, [part.text for part in answer.parts]) == ("3", ["a", "b", "c"])


async def test_many_requests_get_many_answers(probe: Any) -> None:
    answers = probe.stub().Converse(_each(probe.new(text="a"), probe.new(text="b")))
    assert [answer.text async for answer in answers] == ["a", "b"]


async def test_a_handler_knows_the_call_it_answers(probe: Any) -> None:
    seen: list[Call] = []

    async def note(request: Any, context: Any) -> Any:
        seen.append(current_call())
        return request

    probe.servicer.behaviours["Answer"] = note
    await probe.stub().Answer(probe.new(), timeout=3)
    call = seen[0]
    assert call.caller == "spiffe://rapport.local/caller"
    assert (call.service, call.method.name, call.permission) == (
        "rapport.probe.v1.ProbeService",
        "Answer",
        "probe.calls.make",
    )
    assert 2 < call.remaining_s() <= 3
    assert call.actor is None


async def test_outside_a_call_there_is_none() -> None:
    with pytest.raises(LookupError):
        current_call()


async def test_a_call_is_one_trace_of_client_and_server_with_the_status_on_both(probe: Any) -> None:
    await probe.stub().Answer(probe.new())
    spans = {span.kind.name: span for span in probe.spans.get_finished_spans()}
    assert spans["SERVER"].parent.span_id == spans["CLIENT"].context.span_id
    assert {span.attributes["rpc.response.status_code"] for span in spans.values()} == {"OK"}


async def test_many_answers_are_one_trace_too(probe: Any) -> None:
    _ = [answer async for answer in probe.stub().Expand(probe.new(parts=[probe.new()]))]
    spans = {span.kind.name: span for span in probe.spans.get_finished_spans()}
    assert spans["SERVER"].parent.span_id == spans["CLIENT"].context.span_id


async def test_calls_are_measured_by_method_and_status(probe: Any) -> None:
    await probe.stub().Answer(probe.new())
    measured = {
        (sample.name.name, sample.attributes["rpc.method"], sample.attributes["rpc.response.status_code"])
        for sample in probe.telemetry.meter.samples()
        if sample.name.name.startswith("rpc.") and sum(sample.series.counts)
    }
    method = "rapport.probe.v1.ProbeService/Answer"
    assert measured == {("rpc.server.call.duration", method, "OK"), ("rpc.client.call.duration", method, "OK")}
