"""A gate in another process: what it takes over, how it keeps up, and what it does without broker or service."""

from __future__ import annotations

import asyncio

import pytest
from consent_desk import Desk, profile
from consent_gates import HOLDERS, becomes, open_gate, verdict
from rapport_chassis.errors import RapportError


@pytest.mark.parametrize("broker", ["stream", "without"])
async def test_gate_takes_over_what_was_and_learns_what_comes(desk: Desk, broker: str) -> None:
    before, after = profile(), profile()
    granted = await desk.answer(before, "yes promo")
    nats = desk.installation.nats.url if broker == "stream" else None
    async with open_gate(desk.installation, nats=nats) as gate:
        decision = gate.check(before, "promo")
        assert verdict(decision) == "PERMIT GRANTED"
        assert decision.reference == granted.entries[0].reference
        assert (decision.notice_id, decision.notice_version) == ("welcome", 1)
        await desk.answer(after, "yes news north")
        await becomes("PERMIT GRANTED", gate, after, "news", "north")
        assert verdict(gate.check(after, "news", brand_id="south")) == "DENY NO_DECISION"
        await desk.withdraw(after, "news", brand="north")
        await becomes("DENY WITHDRAWN", gate, after, "news", "north")
        await desk.fence(before)
        await becomes("DENY_FENCED ERASED", gate, before, "order")


async def test_a_check_with_the_token_of_a_write_never_answers_from_before_it(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes promo")
    async with open_gate(desk.installation) as gate:
        write = await desk.withdraw(person, "promo")
        decisions = [gate.check(person, "promo", at_least=write.token)]
        asked = await gate.ask(person, "promo", at_least=write.token)
        decisions.append(asked)
        assert verdict(asked) == "DENY WITHDRAWN"
        assert not any(decisions)
        await becomes("DENY WITHDRAWN", gate, person, "promo")


async def test_asking_without_a_needed_brand_is_an_error_not_an_answer(desk: Desk) -> None:
    async with open_gate(desk.installation) as gate:
        with pytest.raises(RapportError) as caught:
            gate.check(profile(), "news")
        assert caught.value.reason.name == "BRAND_REQUIRED"


async def test_many_gates_follow_one_ledger(desk: Desk) -> None:
    person = profile()
    await desk.answer(person, "yes promo")
    async with (
        open_gate(desk.installation, HOLDERS[0]) as one,
        open_gate(desk.installation, HOLDERS[1]) as other,
    ):
        await desk.withdraw(person, "promo")
        await asyncio.gather(*(becomes("DENY WITHDRAWN", gate, person, "promo") for gate in (one, other)))
