from collections import Counter
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.domain.caps import Cap, Place, Reservation, has_room
from rapport_notification.domain.vocabulary import Channel, MessageClass

DAY = date(2026, 11, 2)
MARKETING, SERVICE = MessageClass.MARKETING, MessageClass.SERVICE


def days(*counts: int) -> dict[date, int]:
    """Counts of today, yesterday and so on."""
    return {DAY - timedelta(days=back): count for back, count in enumerate(counts)}


def test_a_cap_counts_what_it_names_on_all_its_channels_and_never_what_is_owed() -> None:
    cap = Cap("offers", 2, channels=frozenset({Channel.EMAIL, Channel.SMS}), categories=frozenset({"offers"}))
    assert cap.counts(MARKETING, Channel.SMS, "offers")
    assert not cap.counts(MARKETING, Channel.WEB_PUSH, "offers")
    assert not cap.counts(MARKETING, Channel.EMAIL, "news")
    assert not cap.counts(MessageClass.LEGAL, Channel.EMAIL, "offers")
    assert not cap.counts(MessageClass.ONE_TIME, Channel.SMS, "offers")


def test_a_period_ends_with_its_last_day() -> None:
    weekly = Cap("weekly", 3, days=7)
    assert weekly.left(MARKETING, DAY, days(1, 0, 0, 0, 0, 0, 2)) == 0
    assert weekly.left(MARKETING, DAY, days(1, 0, 0, 0, 0, 0, 0, 2)) == 2
    assert weekly.first_room(MARKETING, DAY, days(1, 0, 0, 0, 0, 0, 2)) == DAY + timedelta(days=1)


def test_what_matters_more_borrows_and_advertising_pays_back() -> None:
    cap = Cap("daily", 2, lends=1)
    assert cap.left(MARKETING, DAY, days(2)) == 0
    assert cap.left(SERVICE, DAY, days(2)) == 1
    assert cap.left(SERVICE, DAY, days(3)) == 0
    assert cap.left(MARKETING, DAY + timedelta(days=1), days(3)) == 1
    assert cap.left(SERVICE, DAY + timedelta(days=1), days(3)) == 3


def test_where_it_may_be_two_days_both_need_room() -> None:
    cap = Cap("daily", 1)
    tomorrow = DAY + timedelta(days=1)
    assert has_room(cap, MARKETING, {DAY, tomorrow}, {})
    assert not has_room(cap, MARKETING, {DAY, tomorrow}, {tomorrow: 1})


def test_a_cap_of_nothing_says_a_day_all_the_same() -> None:
    assert Cap("none", 0).first_room(MARKETING, DAY, {}) == DAY + timedelta(days=2)
    with pytest.raises(ValueError, match="period"):
        Cap("odd", 1, days=0)


@given(st.lists(st.tuples(st.sampled_from([MARKETING, SERVICE]), st.integers(0, 30)), max_size=80), st.integers(1, 7))
def test_no_history_has_a_period_with_more_than_the_limit_and_what_it_lends(
    asks: list[tuple[MessageClass, int]], period: int
) -> None:
    cap, taken = Cap("any", 3, days=period, lends=2), Counter[date]()
    advertised = Counter[date]()
    for message_class, offset in sorted(asks, key=lambda ask: ask[1]):
        day = DAY + timedelta(days=offset)
        if cap.left(message_class, day, taken):
            taken[day] += 1
            advertised[day] += message_class is MARKETING
    for offset in range(31):
        window = [DAY + timedelta(days=offset - back) for back in range(period)]
        assert sum(taken[day] for day in window) <= cap.limit + cap.lends
        assert sum(advertised[day] for day in window) <= cap.limit


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_however_often_a_reservation_is_settled_the_count_is_right(outcomes: list[bool]) -> None:
    reservation, count = Reservation(frozenset({("daily", DAY)})), 1
    for went in outcomes:
        reservation, change = reservation.settled(went)
        count += change
    assert count == (1 if any(outcomes) else 0)
    assert reservation.state is (Place.COMMITTED if any(outcomes) else Place.REFUNDED)
