import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.domain.governor import Day, Lines, Pressure, judge, lower_bound
from rapport_notification.domain.vocabulary import MessageClass

LINES = Lines()


@pytest.mark.parametrize(
    ("day", "pressure"),
    [
        (Day(50, complained=1), Pressure.FREE),
        (Day(50, complained=3), Pressure.STOP),
        (Day(1000, complained=1), Pressure.FREE),
        (Day(50_000, complained=60), Pressure.SLOW),
        (Day(50_000, complained=300), Pressure.STOP),
        (Day(50_000, complained=30), Pressure.FREE),
        (Day(1000, bounced=40), Pressure.SLOW),
        (Day(900, bounced=100), Pressure.STOP),
        (Day(9, bounced=1), Pressure.FREE),
        (Day(0), Pressure.FREE),
    ],
    ids=str,
)
def test_a_stream_is_slowed_and_stopped_where_a_rate_is_surely_too_high(day: Day, pressure: Pressure) -> None:
    assert judge([day], LINES).pressure is pressure


def test_what_is_waited_for_and_a_duty_go_on() -> None:
    stopped = judge([Day(1000, complained=100)], LINES)
    assert [stopped.allows(each) for each in MessageClass] == [True, False, False, True]
    assert stopped.share(MessageClass.ONE_TIME) == 1.0
    assert stopped.share(MessageClass.MARKETING) == 0.0


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_the_bound_is_below_the_rate_and_nears_it_with_evidence(hits: int, trials: int) -> None:
    hits = min(hits, trials)
    bound = lower_bound(hits, trials)
    assert 0 <= bound <= hits / trials
    assert bound <= lower_bound(hits * 100, trials * 100) + 1e-12
