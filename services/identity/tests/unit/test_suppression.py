"""What is from before an erasure stays away, and what the person does later is somebody new's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_identity.domain.suppression import Suppressed, is_blocked

ERASED = datetime(2026, 6, 1, tzinfo=UTC)
BEFORE, AFTER = ERASED - timedelta(seconds=1), ERASED + timedelta(seconds=1)
NAME = Suppressed(ERASED, b"said")
ADDRESS = Suppressed(ERASED)


@pytest.mark.parametrize(
    ("name", "identifiers", "occurred_at", "content", "blocked"),
    [
        (NAME, [], BEFORE, b"new", True),  # an earlier version of an erased record
        (NAME, [], None, b"new", True),  # the record once more, from a source that dates nothing
        (NAME, [], AFTER, b"said", True),  # an export that dates by its own time
        (NAME, [], AFTER, b"new", False),  # the customer came back under the same number
        (None, [ADDRESS], BEFORE, b"new", True),  # another source's copy
        (None, [ADDRESS], ERASED, b"new", True),
        (None, [ADDRESS], AFTER, b"new", False),
        (None, [ADDRESS], None, b"new", False),  # a form that was filled in just now
        (None, [], BEFORE, b"said", False),  # somebody else
    ],
)
def test_what_came_before_is_blocked_and_what_comes_after_is_not(
    name: Suppressed | None, identifiers: list[Suppressed], occurred_at: datetime | None, content: bytes, blocked: bool
) -> None:
    assert is_blocked(name=name, identifiers=identifiers, occurred_at=occurred_at, content=content) is blocked


@given(
    st.lists(st.datetimes(timezones=st.just(UTC)), max_size=4),
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(timezones=st.just(UTC)),
)
def test_the_later_something_happened_the_less_it_is_blocked(
    erasures: list[datetime], one: datetime, other: datetime
) -> None:
    earlier, later = sorted((one, other))
    held = [Suppressed(each) for each in erasures]
    at_first = is_blocked(name=None, identifiers=held, occurred_at=earlier, content=b"")
    at_last = is_blocked(name=None, identifiers=held, occurred_at=later, content=b"")
    assert at_first or not at_last
    assert at_first == any(earlier <= each for each in erasures)
