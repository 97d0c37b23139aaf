import random
from bisect import bisect_right
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.domain.holds import CounterEvent, Pace, Waiting, cancelled, release_at, superseded
from rapport_notification.domain.ledger import State
from rapport_notification.domain.vocabulary import MINUTE_US, SECOND_US
from rapport_testing.prove import Scale

SPREAD = 30 * MINUTE_US
HELD = Waiting("ntf_1", "prf_a", State.HELD, "price:prd_1", 100)


def test_the_newest_of_a_key_stays_whatever_came_first() -> None:
    newer, other = replace(HELD, notification_id="ntf_2", about_us=200), replace(HELD, recipient_id="prf_b")
    assert superseded([newer, HELD, other]) == {"ntf_1"}
    assert superseded([HELD, newer]) == {"ntf_1"}
    assert superseded([HELD, replace(HELD, notification_id="ntf_0")]) == {"ntf_0"}
    assert superseded([replace(HELD, supersede_key=""), replace(newer, supersede_key="")]) == frozenset()


def test_an_older_one_is_superfluous_when_a_newer_has_gone_but_not_when_that_was_taken_back() -> None:
    newer = replace(HELD, notification_id="ntf_2", about_us=200)
    assert superseded([HELD, replace(newer, state=State.SENT)]) == {"ntf_1"}
    assert superseded([HELD, replace(newer, state=State.CANCELLED)]) == frozenset()
    assert superseded([replace(HELD, state=State.INTENT), newer]) == frozenset()  # too late


@given(st.permutations([100, 200, 300, 400]))
def test_in_any_order_of_arrival_one_message_of_a_key_is_left(order: list[int]) -> None:
    kept: list[Waiting] = []
    for about in order:
        kept.append(replace(HELD, notification_id=f"ntf_{about}", about_us=about))
        gone = superseded(kept)
        kept = [replace(each, state=State.SUPERSEDED) if each.notification_id in gone else each for each in kept]
    assert [each.about_us for each in kept if each.state is State.HELD] == [400]


def test_a_counter_event_cancels_what_waits_about_something_before_it() -> None:
    risk = replace(HELD, cancelled_by=(CounterEvent("risk_cleared", frozenset({("model", "mdl_1")})),))
    assert cancelled([risk], "risk_cleared", {"model": "mdl_1"}, 150) == {"ntf_1"}
    assert cancelled([risk], "risk_cleared", {"model": "mdl_2"}, 150) == frozenset()
    assert cancelled([risk], "risk_cleared", {"model": "mdl_1"}, 99) == frozenset()
    assert cancelled([replace(risk, state=State.SENT)], "risk_cleared", {"model": "mdl_1"}, 150) == frozenset()


def test_a_message_that_soon_is_too_late_is_let_go_in_time() -> None:
    assert release_at(0, SPREAD, 0xFFFFFFFF) < SPREAD
    assert release_at(0, SPREAD, 0xFFFFFFFF, expires_us=MINUTE_US) < MINUTE_US // 2
    assert release_at(0, SPREAD, 0xFFFFFFFF, expires_us=0) == 0


@pytest.mark.parametrize("pause", [0, 600], ids=["steady", "stopped for ten minutes"])
@pytest.mark.parametrize("openings", [[0], [0, 900, 1800, 3600]], ids=["one zone", "four zones"])
def test_ten_seconds_after_an_opening_have_at_most_twice_the_mean(
    openings: list[int], pause: int, scale: Scale, prove
) -> None:
    held, draw = scale.pick(small=20_000, full=50_000), random.Random(7)
    due = sorted(release_at(at * SECOND_US, SPREAD, draw.getrandbits(32)) for at in openings for _ in range(held))
    pace, released, let_go = Pace(SPREAD), Counter[int](), 0
    second = 0
    while let_go < len(due):
        second += 1
        if 300 <= second < 300 + pause:
            continue
        now = second * SECOND_US
        ripe = bisect_right(due, now) - let_go
        coming = bisect_right(due, now + SPREAD) - let_go - ripe
        number = pace.quota(now, ripe, coming)
        released[second // 10] += number
        let_go += number
    busy = [released[ten] for ten in range(second // 10) if not 300 <= ten * 10 < 300 + pause]
    ratio = max(busy) / (sum(busy) / len(busy))
    assert ratio <= 2, ratio
    assert second <= openings[-1] + 1800 + pause + 600
    prove("notification", **{f"release_peak_over_mean_{len(openings)}_zones_{pause}_s_pause": round(ratio, 2)})


def test_a_single_message_is_let_go_when_it_is_due() -> None:
    pace = Pace(SPREAD)
    for second in range(40 * 60):
        if pace.quota(second * SECOND_US, 1, 0):
            break
    assert second * SECOND_US <= SPREAD
