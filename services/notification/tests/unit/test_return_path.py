import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.sending.return_path import ReturnPaths

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
IDS = st.text(LETTERS, min_size=22, max_size=22).map("ntf_".__add__)
PATHS = ReturnPaths([b"n" * 32, b"o" * 32], "bounces.brand.example")


@given(IDS, st.integers(1, 255), st.booleans())
def test_a_return_path_says_whose_it_is_whatever_its_case(notification_id: str, attempt: int, upper: bool) -> None:
    address = PATHS.address(notification_id, attempt).value
    assert len(address.partition("@")[0]) <= 64
    assert PATHS.open(address.upper() if upper else address) == (notification_id, attempt)


@given(IDS, st.integers(0, 60), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_no_letter_of_it_can_be_changed(notification_id: str, place: int, letter: str) -> None:
    local, _, domain = PATHS.address(notification_id, 1).value.partition("@")
    place = 2 + place % (len(local) - 2)
    changed = f"{local[:place]}{letter}{local[place + 1 :]}@{domain}"
    assert PATHS.open(changed) in {None, (notification_id, 1)}
    assert changed.startswith(local) or PATHS.open(changed) is None or local[place] == letter or place == len(local) - 1


def test_an_older_key_opens_and_a_foreign_one_does_not() -> None:
    old = ReturnPaths([b"o" * 32], "bounces.brand.example").address("ntf_" + "a" * 22, 3)
    assert PATHS.open(old.value) == ("ntf_" + "a" * 22, 3)
    foreign = ReturnPaths([b"x" * 32], "bounces.brand.example").address("ntf_" + "a" * 22, 3)
    assert PATHS.open(foreign.value) is None
    assert PATHS.open(old.value.replace("bounces", "other")) is None


@pytest.mark.parametrize("local", ["", "b", "b+", "c+abc", "b+é", "b+1", "b+aaaa"])
def test_what_was_not_made_here_opens_nothing(local: str) -> None:
    assert PATHS.open(f"{local}@bounces.brand.example") is None
    assert PATHS.open(local) is None


def test_ids_attempts_and_keys_that_are_none_are_refused() -> None:
    for notification_id, attempt in (("ntf_short", 1), ("prf_" + "a" * 22, 1), ("ntf_" + "a" * 22, 0)):
        with pytest.raises(ValueError, match=r"id|attempts"):
            PATHS.address(notification_id, attempt)
    with pytest.raises(ValueError, match="32"):
        ReturnPaths([b"short"], "bounces.brand.example")
