"""The main job while everything is killed, and events come late, twice, out of order: afterwards nobody can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from rapport_testing.plugin import MakeProgress, Prove
from rapport_testing.prove import Scale
from suite import Suite
from suite_calm import Calm
from suite_job import MainJob
from suite_shop import Shop, open_shop, until
from suite_state import Observed, State, observe
from suite_storm import Storm
from suite_streams import Streams
from suite_trail import trail

CALLS_OF_A_PERSON = 8
SENT, SETTLED, MESSAGE_DROPPED = 4, 6, 10
SAME_S, LOOK_S = 60.0, 0.5


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
        in_doubt = await same_in_the_end(shop, job, expected, given_up)
    assert len(storm.killed) == kills
    prove(
        "chaos",
        **{
            f"seed_{seed}": {
                "people": people,
                "kills": len(storm.killed),
                "events_delivered_again": storm.copied,
                "readers_delayed": storm.delayed,
                "messages_in_doubt": in_doubt,
                "lost": 0,
                "doubled": 0,
            }
        },
    )


async def same_in_the_end(shop: Shop, job: MainJob, expected: Mapping[str, State], given_up: int) -> int:
    """Wait until every service holds what it holds without a storm, and return how many messages are in doubt.

    Raises:
        AssertionError: It does not come to that: who differs in what, and where each touchpoint of them got to.
    """
    doubts = 0

    async def differences() -> dict[str, dict[str, str]]:
        nonlocal doubts
        observed = await observe(shop, job.names(), job.base)
        doubts = settle_doubts(observed)
        assert observed.dead_letters == given_up, "something was given up"
        found = {who: told_apart(state, expected[who]) for who, state in observed.states.items()}
        return {who: differing for who, differing in found.items() if differing}

    try:
        await until(differences, lambda found: not found, within_s=SAME_S, every_s=LOOK_S)
    except AssertionError:
        lines = ["after the storm these are not as without it:"]
        for who, differing in (await differences()).items():
            lines += [f"- {who}, {what}: {how}" for what, how in differing.items()]
            lines += [f"    {line}" for line in await trail(shop.suite, job.names()[who])]
        raise AssertionError("\n".join(lines)) from None
    return doubts


def told_apart(state: State, expected: State) -> dict[str, str]:
    """Return in what somebody's state differs from the one expected, and how."""
    return {
        what: f"lacks {held - state[what]}, has {state[what] - held} too much"
        if isinstance(held, Counter)
        else f"{state[what]} instead of {held}"
        for what, held in expected.items()
        if state[what] != held
    }


def settle_doubts(observed: Observed) -> int:
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
            state["effects"] -= Counter({(key[0], MESSAGE_DROPPED): doubted})
        for (name, copies), times in state["doubted mails"].items():
            assert copies <= 1, f"{who} was sent a mail {copies} times"
            state["mails"][name, 1] += times
        state["doubted mails"] = Counter()
    return doubts
