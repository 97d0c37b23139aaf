"""Choosing providers: what fails, stalls or throttles gets little more, and comes back."""

import random
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.domain.resolution import BLIND, Capability
from rapport_notification.sending.breaker import Breaker, BreakerSettings
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.providers import BACK_OFF_S, Provider, ProviderPool, back_off_s
from rapport_testing.prove import Scale

SENT, DOWN = Outcome(Handed.SENT), Outcome(Handed.UNREACHABLE)


def pool(**changes) -> ProviderPool:
    rates = {"rate_per_s": 1e6, "burst": 1e6} | changes
    return ProviderPool([Provider("a", BLIND, **rates), Provider("b", Capability(key_for_us=1), **rates)], 0.0)


@pytest.mark.parametrize("trouble", ["dead", "failing 30 %", "stalled"])
def test_at_most_fifty_messages_are_tried_on_a_provider_after_its_trouble_began(
    trouble: str, scale: Scale, prove
) -> None:
    worst = 0
    for seed in range(scale.pick(small=5, full=100)):
        draw, choosing = random.Random(seed), pool()
        under_way: deque = deque()
        tried, now = 0, 0.0
        for message in range(3_000):
            now += 0.01
            while under_way and under_way[0][0] <= now:
                _, attempt, outcome = under_way.popleft()
                choosing.ended(attempt, outcome, now)
            attempt = choosing.begin(now)
            assert attempt is not None, "the other provider goes on"
            troubled = message >= 500 and attempt.provider == "a"
            tried += troubled
            if troubled and trouble == "stalled":
                continue  # no answer comes
            fails = troubled and (trouble == "dead" or draw.random() < 0.3)
            under_way.append((now + 0.02, attempt, DOWN if fails else SENT))
        worst = max(worst, tried)
    prove("notification", **{f"tried_on_provider_{trouble.split()[0]}": worst})
    assert worst <= 50


def test_shares_follow_weights_and_a_repeat_goes_where_the_first_went() -> None:
    choosing = ProviderPool(
        [Provider("a", BLIND, 1e6, 1e6, weight=3.0), Provider("b", Capability(key_for_us=1), 1e6, 1e6)], 0.0
    )
    counts: Counter[str] = Counter()
    for _ in range(400):
        attempt = choosing.begin(1.0)
        assert attempt is not None
        counts[attempt.provider] += 1
        choosing.ended(attempt, SENT, 1.0)
    assert counts == {"a": 300, "b": 100}
    repeat = choosing.begin(1.0, only="b")
    assert repeat is not None
    assert repeat.provider == "b"
    assert choosing.begin(1.0, only="b", without={"b"}) is None
    assert choosing.capability("b").key_for_us == 1


def test_a_provider_that_says_when_is_not_asked_before() -> None:
    choosing = pool()
    attempt = choosing.begin(0.0, only="a")
    assert attempt is not None
    choosing.ended(attempt, Outcome(Handed.DEFERRED, 429, retry_after_s=30.0), 0.0)
    assert choosing.begin(29.9, only="a") is None
    assert choosing.health(29.9) == {"a": "throttled", "b": "healthy"}
    assert choosing.begin(30.0, only="a") is not None


def test_no_second_has_more_than_the_rate_and_the_burst() -> None:
    choosing = pool(rate_per_s=10.0, burst=5.0)
    times = [now / 100 for now in range(500) if choosing.begin(now / 100, only="a") is not None]
    times = times or [0.0]
    for start in range(4):
        assert sum(start <= at < start + 1 for at in times) <= 15


def test_many_refusals_of_messages_are_no_trouble_of_the_provider() -> None:
    choosing = pool()
    for number in range(100):
        attempt = choosing.begin(float(number * 10), only="a")
        assert attempt is not None
        refusal = [Outcome(Handed.REFUSED, 550), Outcome(Handed.DEFERRED, 450), Outcome(Handed.WITHDRAWN)][number % 3]
        choosing.ended(attempt, refusal, float(number * 10))


def test_after_a_pause_some_attempts_one_at_a_time_decide_and_pauses_grow() -> None:
    breaker, settings = Breaker(BreakerSettings()), BreakerSettings()
    for _ in range(settings.in_a_row):
        breaker.end(breaker.begin(0.0), 0.0, worked=False)
    assert not breaker.ready(29.9)
    assert breaker.ready(30.0)
    probe = breaker.begin(30.0)
    assert not breaker.ready(30.0)
    breaker.end(probe, 31.0, worked=False)
    assert not breaker.ready(31.0 + 59.9)
    for _ in range(settings.trial):
        assert breaker.is_open(91.0)
        breaker.end(breaker.begin(91.0), 91.0, worked=True)
    assert not breaker.is_open(91.0)


@given(st.lists(st.tuples(st.sampled_from(["begin", "worked", "failed"]), st.floats(0.001, 40.0)), max_size=120))
def test_whatever_happens_a_breaker_lets_one_through_in_the_end(steps: list[tuple[str, float]]) -> None:
    breaker, now, under_way = Breaker(BreakerSettings()), 0.0, []
    for step, later in steps:
        now += later
        if step == "begin" and breaker.ready(now):
            under_way.append(breaker.begin(now))
        elif step != "begin" and under_way:
            breaker.end(under_way.pop(0), now, worked=step == "worked")
    for number in under_way:
        breaker.end(number, now, worked=False)
    assert breaker.ready(now + 4000)


def test_waiting_grows_and_is_drawn() -> None:
    assert back_off_s(1, lambda: 0.0) == BACK_OFF_S[0] / 2
    assert back_off_s(99, lambda: 1.0) == BACK_OFF_S[-1]
