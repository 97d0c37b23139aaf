from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.domain.entries import State
from rapport_notification.domain.holds import CounterEvent, Waiting, cancelled, release_at, superseded
from rapport_notification.domain.vocabulary import MINUTE_US

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
