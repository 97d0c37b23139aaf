import pytest
from rapport_notification.domain.routing import Option, Past, expected, route
from rapport_notification.domain.vocabulary import Channel

HOUR, DAY = 3600.0, 86400.0
READER = Option(Channel.EMAIL, Past(sent=50, responses=30, response_s=30 * 8 * HOUR))
QUICK = Option(Channel.SMS, Past(sent=50, responses=20, response_s=20 * 120.0), cost=0.05)


def channels(*options: Option, within: float, fallback: float | None = None) -> list[Channel]:
    return [step.channel for step in route(options, within_s=within, fallback_s=fallback)]


def test_what_is_urgent_goes_where_answers_are_quick_and_the_rest_where_they_are_likely() -> None:
    assert channels(READER, QUICK, within=HOUR) == [Channel.SMS]
    assert channels(READER, QUICK, within=7 * DAY) == [Channel.EMAIL]


def test_discontent_and_cost_count() -> None:
    annoyed = Option(Channel.SMS, Past(50, 20, 2400.0, ratings=20, content=2), cost=0.05)
    assert channels(annoyed, Option(Channel.EMAIL, Past(50, 20, 2400.0, ratings=20, content=18)), within=DAY) == [
        Channel.EMAIL
    ]
    assert channels(Option(Channel.SMS, cost=0.2), Option(Channel.WEB_PUSH), within=DAY) == [Channel.WEB_PUSH]


def test_a_lucky_click_decides_nothing() -> None:
    lucky = Option(Channel.WEB_PUSH, Past(sent=1, responses=1, response_s=60.0))
    assert channels(lucky, READER, within=7 * DAY) == [Channel.EMAIL]


def test_a_named_channel_goes_first_and_one_without_provider_last() -> None:
    named = Option(Channel.IN_APP, chosen=True)
    broken = Option(Channel.EMAIL, READER.past, healthy=False)
    assert channels(broken, named, QUICK, within=DAY, fallback=HOUR) == [Channel.IN_APP, Channel.SMS, Channel.EMAIL]


def test_fallbacks_begin_while_there_is_time_and_never_twice_on_a_channel() -> None:
    steps = route([READER, QUICK, Option(Channel.IN_APP)], within_s=3 * HOUR, fallback_s=2 * HOUR)
    assert [step.after_s for step in steps] == [0, 2 * HOUR]
    assert len({step.channel for step in steps}) == 2
    assert route([], within_s=DAY, fallback_s=None) == ()


def test_expectations_are_told_for_each_channel_and_an_impossible_past_is_refused() -> None:
    assert set(expected([READER, QUICK], DAY)) == {Channel.EMAIL, Channel.SMS}
    with pytest.raises(ValueError, match="more"):
        Past(sent=1, responses=2)
