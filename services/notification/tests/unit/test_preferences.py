from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.domain.preferences import EVERYTHING, Category, Wish, decide, merged, wanted_channels
from rapport_notification.domain.vocabulary import Channel

OFFERS = Category("offers", channels=frozenset({Channel.EMAIL, Channel.IN_APP}))
OWED = Category("orders", owed=True)
WISHES = st.builds(
    Wish,
    st.sampled_from(["offers", "news", EVERYTHING]),
    st.sampled_from([None, *Channel]),
    st.booleans(),
    st.integers(0, 5),
)


def test_without_a_wish_a_category_is_heard_where_it_is_by_default() -> None:
    assert set(wanted_channels(OFFERS, [], Channel)) == {Channel.EMAIL, Channel.IN_APP}


def test_the_most_special_wish_decides_and_then_the_latest() -> None:
    nothing = Wish(EVERYTHING, None, False, 50)
    by_mail = Wish("offers", Channel.EMAIL, True, 10)
    assert wanted_channels(OFFERS, [nothing, by_mail], Channel) == {Channel.EMAIL: by_mail}
    assert decide(OFFERS, Channel.EMAIL, [by_mail, Wish("offers", Channel.EMAIL, False, 11)])[0] is False
    assert decide(OFFERS, Channel.EMAIL, [by_mail, Wish("offers", Channel.EMAIL, False, 10)])[0] is False


def test_what_is_owed_cannot_be_refused() -> None:
    assert decide(OWED, Channel.SMS, [Wish(EVERYTHING, None, False, 1)])[0]


@given(st.lists(WISHES, max_size=8), st.lists(WISHES, max_size=8))
def test_merging_decides_as_all_rows_together_and_in_either_order(first: list[Wish], second: list[Wish]) -> None:
    together = merged(first, second)
    assert together == merged(second, first) == merged(together, first)
    for channel in Channel:
        assert decide(OFFERS, channel, together)[0] == decide(OFFERS, channel, [*first, *second])[0]
