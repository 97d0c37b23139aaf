"""The bare connection: answers go to their requests, and no line of the protocol can be smuggled in."""

import asyncio
import json

import pytest
from rapport_chassis.errors import RapportError
from rapport_chassis.events.wire import Request, Wire, WireError
from rapport_chassis.settings import NatsSettings

INFO = "$JS.API.STREAM.INFO."


@pytest.fixture
async def wire(broker):
    opened = await Wire.open(broker.settings, user="test")
    yield opened
    opened.close()


async def test_answers_come_in_the_order_of_their_requests(wire):
    streams = ["RAPPORT_CONSENT", "RAPPORT_DLQ", "NONE", "RAPPORT_CHURN"] * 50
    answers = await wire.exchange([Request(INFO + name) for name in streams], timeout_s=5)
    found = [json.loads(answer).get("config", {}).get("name", "NONE") for answer in answers]
    assert found == streams


async def test_answers_larger_than_a_segment_are_put_together(wire):
    subject = "rapport.consent.v1.consent_granted.01"
    large = [Request(subject, bytes(700_000), {"Nats-Msg-Id": str(number)}) for number in range(8)]
    assert all(b'"seq"' in answer for answer in await wire.exchange(large, timeout_s=10) if answer)
    gets = [Request("$JS.API.STREAM.MSG.GET.RAPPORT_CONSENT", b'{"seq":%d}' % number) for number in range(1, 9)]
    assert [json.loads(answer)["message"]["seq"] for answer in await wire.exchange(gets, timeout_s=10)] == [
        *range(1, 9)
    ]


async def test_a_subject_nobody_listens_on_is_told_from_a_broker_that_is_silent(wire, broker):
    assert await wire.exchange([Request("nobody")], timeout_s=5) == [b""]
    with pytest.raises(RapportError, match="nobody listens"):
        await wire.request("nobody")
    await asyncio.to_thread(broker.server.suspend)
    assert await wire.exchange([Request(INFO + "RAPPORT_CONSENT")], timeout_s=0.2) == [None]
    await asyncio.to_thread(broker.server.resume)
    # The late answer is not taken for that of the next request.
    (answer,) = await wire.exchange([Request(INFO + "RAPPORT_DLQ")], timeout_s=5)
    assert json.loads(answer)["config"]["name"] == "RAPPORT_DLQ"


async def test_a_broker_that_dies_ends_the_wait_at_once(wire, broker):
    await asyncio.to_thread(broker.server.suspend)
    waiting = asyncio.create_task(wire.exchange([Request(INFO + "RAPPORT_CONSENT")] * 2, timeout_s=60))
    await asyncio.sleep(0)
    await asyncio.to_thread(broker.server.kill)
    assert await waiting == [None, None]
    assert not wire.is_open
    assert await wire.exchange([Request(INFO + "RAPPORT_CONSENT")], timeout_s=60) == [None]
    with pytest.raises(WireError):
        await Wire.open(broker.settings, user="test")


@pytest.mark.parametrize(
    "headers",
    [
        {"a": "b\r\nNats-Rollup: all"},
        {"a": "b\n"},
        {"a\r\nb": "c"},
        {"a:b\r\n": "c"},
        {"a": "\x00"},
        {"a": "ü"},
        {"": "b"},
    ],
)
async def test_a_header_that_could_break_the_protocol_is_refused(wire, headers):
    with pytest.raises(ValueError, match="header"):
        await wire.exchange([Request("rapport.consent.v1.consent_granted.01", b"", headers)], timeout_s=5)


async def test_the_first_server_that_answers_is_taken(broker):
    settings = NatsSettings(url=f"nats://127.0.0.1:1, {broker.settings.url}")
    wire = await Wire.open(settings, user="test")
    assert await wire.request(INFO + "RAPPORT_CONSENT")
    wire.close()
