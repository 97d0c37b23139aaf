"""Events that cannot be followed are given up as references, hold up nothing, and may be tried again."""

from __future__ import annotations

import json

import pytest
from consent_desk import ROLES, Desk, open_desk, profile
from consent_events import DEAD_LETTERS, EventLog, Identity, dead_letters, merge
from consent_rig import Rig, provision
from rapport_chassis.events.dead_letters import DeadLetter
from rapport_chassis.events.envelope import Event
from rapport_testing.capture import assert_absent
from rapport_testing.installation import Installation
from rapport_testing.waiting import eventually

CANARY = "kim.canary@example.com"


async def letter_of(installation: Installation, event: Event) -> DeadLetter:
    """Wait until an event was given up."""

    async def found() -> DeadLetter | None:
        async with dead_letters(installation) as letters:
            own = [each for each in await letters.list() if each.headers.get("ce-id") == event.id]
        return own[0] if own else None

    return await eventually(found, timeout_s=30)


@pytest.mark.parametrize("what", ["no message", "another message", "rules broken", "unknown ids"])
async def test_poison_becomes_a_reference_and_the_events_behind_it_are_followed(desk: Desk, what: str) -> None:
    installation, identity = desk.installation, Identity(desk.installation)
    await desk.until_serving("events")
    poison, behind = merge(profile(), profile()), merge(profile(), profile())
    if what == "no message":
        payload = b"\xff" + CANARY.encode()
    elif what == "another message":
        payload = json.dumps({"name": CANARY}).encode()
    elif what == "rules broken":
        poison.message.profiles[0].version = 0  # type: ignore[attr-defined]
        payload = poison.payload()
    else:
        poison.message.profiles[0].redirect_ids[0] = CANARY  # type: ignore[attr-defined]
        payload = poison.payload()
    sequence = await identity.publish_raw(poison, payload)
    await identity.publish(behind)
    letter = await letter_of(installation, poison)
    assert (letter.consumer, letter.stream, letter.sequence) == ("consent-profiles", "RAPPORT_IDENTITY", sequence)
    assert letter.reason in ("EVENT_MALFORMED", "EVENT_INVALID")
    assert letter.deliveries == 1
    if what == "rules broken":
        assert any(field.startswith("profiles.version") for field in letter.fields)
    await EventLog(installation.broker()).answer_to(behind.id)
    assert await desk.readiness("events") == "SERVING"
    stored = await installation.broker().stored(DEAD_LETTERS)
    assert_absent(CANARY, *(message.data for message in stored), *(str(message.headers) for message in stored))
    assert_absent(CANARY, installation.folder / "service.log", installation.folder / "telemetry")


async def test_event_given_up_is_followed_once_it_is_replayed(rig: Rig) -> None:
    """The first write fails for a reason that passes; the reader has one try, so the event is given up."""
    installation = rig.installation
    await rig.stop()
    await provision(installation, ack_wait=10**9, max_deliver=1)
    await rig.restart("ledger.inserted=raise@1")
    try:
        async with open_desk(installation) as desk:
            await desk.until_serving(*ROLES)
            one, other = profile(), profile()
            failing = merge(one, other)
            await Identity(installation).publish(failing)
            letter = await letter_of(installation, failing)
            assert letter.reason == "FailpointError"
            assert (await desk.state(other)).current_profile_id == other
            async with dead_letters(installation) as letters:
                await letters.replay(letter.number)
            log = EventLog(installation.broker())
            followed = await log.answer_to(failing.id)
            assert followed.change.current_id == one
            assert (await desk.state(other)).current_profile_id == one
            async with dead_letters(installation) as letters:
                assert [each for each in await letters.list() if each.headers.get("ce-id") == failing.id] == []
    finally:
        await provision(installation, ack_wait=10**9, max_deliver=1000)
        await rig.running()
