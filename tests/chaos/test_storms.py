"""The main job while everything is killed, and events come late, twice and in another order: nobody can tell afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rapport_testing.plugin import MakeProgress, Prove
from rapport_testing.prove import Scale
from suite import Suite
from suite_authoring import author
from suite_job import MainJob
from suite_shop import Shop, open_shop, until
from suite_state import Observed, State, observe
from suite_storm import VICTIMS, Storm

KILLS_AT_FULL_SCALE = 10
CALLS_OF_A_PERSON = 8
BASE = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
SENT, SETTLED = 4, 6


@pytest.fixture(scope="session")
def calm() -> dict[str, State]:
    """What an undisturbed run led to; filled by the first test that needs it."""
    return {}


async def undisturbed(shop: Shop, calm: dict[str, State], people: int) -> Mapping[str, State]:
    if not calm:
        await author(shop)
        job = MainJob(shop, "calm", people, BASE)
        await job.run()
        observed = await observe(shop, job.names(), BASE)
        assert observed.dead_letters == 0
        calm.update(observed.states)
        assert_meaningful(calm)
    return calm


def assert_meaningful(states: Mapping[str, State]) -> None:
    """Whether what is compared is there at all: a job that did nothing would equal any other."""
    assert any(each["mails"] for each in states.values()), "somebody was written to"
    assert any(state == "ended" for each in states.values() for _, state, *_ in each["offers"])
    assert any(name != owner for each in states.values() for name, (owner, _) in each["profiles"].items())
    assert any(risk == 0 for each in states.values() for _, risk, *_ in each["risk"])


@pytest.mark.timeout(1500)
async def test_after_a_storm_everything_is_as_if_there_had_been_none(
    suite: Suite, calm: dict[str, State], seed: int, scale: Scale, prove: Prove, progress: MakeProgress
) -> None:
    people = scale.pick(small=9, full=40)
    kills = scale.pick(small=len(VICTIMS), full=KILLS_AT_FULL_SCALE)
    async with open_shop(suite) as shop:
        expected = await undisturbed(shop, calm, people)
        storm = Storm(suite, seed=seed, kills=kills, calls=CALLS_OF_A_PERSON * people)
        bar = progress(people * CALLS_OF_A_PERSON, f"seed {seed}, calls")

        async def step() -> None:
            bar.advance()
            await storm.step()

        job = MainJob(shop, f"storm{seed}x", people, BASE, step)
        await job.run()
        await storm.over()
        await job.settled()
        in_doubt: list[int] = []

        async def different() -> dict[str, Any]:
            observed = await observe(shop, job.names(), BASE)
            in_doubt[:] = [settle_doubts(observed, expected)]
            assert observed.dead_letters == 0
            return {
                who: {what: (state[what], expected[who][what]) for what in state if state[what] != expected[who][what]}
                for who, state in observed.states.items()
                if state != expected[who]
            }

        await until(different, lambda found: not found, within_s=60, what="the two runs led to the same")
    assert len(storm.killed) == kills
    prove(
        "chaos",
        **{
            f"seed_{seed}": {
                "people": people,
                "kills": len(storm.killed),
                "events_delivered_again": storm.copied,
                "readers_delayed": storm.delayed,
                "messages_in_doubt": in_doubt[0],
                "lost": 0,
                "doubled": 0,
            }
        },
    )


def settle_doubts(observed: Observed, expected: Mapping[str, State]) -> int:
    """Take a mail whose fate nobody can know for what it was meant to be, and return how many there are.

    A process that is killed between the server's answer and its note of it leaves a message in doubt, which is not
    sent again: that is promised. It is there at most once, and it is named.
    """
    doubts = 0
    for who, state in observed.states.items():
        for key in [key for key in state["messages"] if key[-1] == SETTLED]:
            doubted = state["messages"].pop(key)
            doubts += doubted
            state["messages"][*key[:-1], SENT] += doubted
            state["mails"] = expected[who]["mails"]
    return doubts
