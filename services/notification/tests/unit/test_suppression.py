import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.domain.suppression import (
    Feedback,
    Policy,
    Suppressed,
    Suppression,
    address_hash,
    judged,
)
from rapport_notification.domain.vocabulary import DAY_US, Channel, MessageClass

POLICY = Policy()
SOFT_WEEK = [(day * DAY_US, Feedback.SOFT) for day in (0, 2, 4, 6, 8)]
HARMLESS = st.sampled_from([Feedback.AUTO_REPLY, Feedback.DELIVERED])


def test_a_hard_bounce_gives_up_at_once_and_a_complaint_what_was_not_asked_for() -> None:
    hard = judged([(5, Feedback.DELIVERED), (7, Feedback.HARD)], POLICY)
    assert hard == Suppression(Suppressed.HARD, 7)
    assert all(hard.forbids(each, 10**18) for each in MessageClass)
    complaint = judged([(7, Feedback.COMPLAINT)], POLICY)
    assert complaint is not None
    forbidden = {each for each in MessageClass if complaint.forbids(each, 8)}
    assert forbidden == {MessageClass.MARKETING, MessageClass.SERVICE}


def test_soft_bounces_give_up_for_a_time_when_they_go_on_for_days() -> None:
    found = judged(SOFT_WEEK, POLICY)
    assert found == Suppression(Suppressed.SOFT, 8 * DAY_US, 98 * DAY_US)
    assert found.forbids(MessageClass.LEGAL, 97 * DAY_US)
    assert not found.forbids(MessageClass.MARKETING, 98 * DAY_US)


def test_one_full_mailbox_or_a_bad_day_gives_nothing_up() -> None:
    assert judged(SOFT_WEEK[:4], POLICY) is None
    assert judged([(hour, Feedback.SOFT) for hour in range(100)], POLICY) is None
    assert judged([*SOFT_WEEK[:3], (5 * DAY_US, Feedback.AUTO_REPLY), *SOFT_WEEK[3:]], POLICY) is None


@given(st.lists(st.tuples(st.integers(0, 100 * DAY_US), HARMLESS), max_size=200))
def test_no_number_of_auto_replies_suppresses(history: list[tuple[int, Feedback]]) -> None:
    assert judged(history, POLICY) is None


def test_a_hash_is_the_same_however_an_address_is_written_and_needs_the_key() -> None:
    key = b"k" * 32
    one = address_hash(key, Channel.EMAIL, "Somebody@Example.org ")
    assert one == address_hash(key, Channel.EMAIL, "somebody@example.org")
    assert one != address_hash(b"l" * 32, Channel.EMAIL, "somebody@example.org")
    assert one != address_hash(key, Channel.SMS, "somebody@example.org")
    with pytest.raises(ValueError, match="32"):
        address_hash(b"short", Channel.EMAIL, "a@b.example")
