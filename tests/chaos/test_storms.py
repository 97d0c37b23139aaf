"""The main job while everything is killed, and events come late, twice, out of order: afterwards nobody can tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from rapport_testing.plugin import MakeProgress, Prove
from rapport_testing.prove import Scale
from suite import Suite
from suite_calm import Calm
from suite_job import MainJob
from suite_shop import open_shop, until
from suite_state import Observed, State, observe
from suite_storm import Storm
from suite_streams import Streams

CALLS_OF_A_PERSON = 8
SENT, SETTLED = 4, 6


@pytest.mark.timeout(1500)
async def test_after_a_storm_everything_is_as_if_there_had_been_none(
    suite: Suite, calm: Calm, seed: int, scale: Scale, prove: Prove, progress: MakeProgress
) -> None:
    people, expected = len(calm.people), calm.states
    kills = scale.pick(small=5, full=10)
    given_up = await Streams(suite).dead()
    async with open_shop(suite) as shop:
        storm = Storm(suite, seed=seed, kills=kills, calls=CALLS_OF_A_PERSON * people)
        bar = progress(people * CALLS_OF_A_PERSON, f"seed {seed}, calls")

        async def step() -> None:
            bar.advance()
            await storm.step()

        job = MainJob(shop, f"storm{seed}x", people, calm.base, step)
        await job.run()
        await storm.over()
        await job.settled()
        in_doubt: list[int] = []

        async def different() -> dict[str, Any]:
            observed = await observe(shop, job.names(), calm.base)
            in_doubt[:] = [settle_doubts(observed, expected)]
            assert observed.dead_letters == given_up, "something was given up"
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
