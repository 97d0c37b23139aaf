"""What is told of profiles, within the limits of the contract, whatever a change is like."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from protovalidate import validate
from rapport.identity.v1 import events_pb2
from rapport_identity.domain.facets import Facet, ProfileState, state_of
from rapport_identity.domain.told import Cause, ProfilesMerged, ProfileSplit, ProfileUpdated, Result
from rapport_identity.translate.events import MOST_BYTES, MOST_REDIRECTS, events_of, state_bytes, state_in

AT = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)


def profile_id(number: int) -> str:
    return f"prf_{number:022}"


def state(brands: int = 1) -> ProfileState:
    facets = [Facet((1, 4), False, f"brand-{number}", "GB", "en", "Europe/London", AT) for number in range(brands)]
    return state_of(list(enumerate(facets)))


def result(number: int, redirects: range = range(0), brands: int = 1) -> Result:
    return Result(profile_id(number), 7, state(brands), tuple(profile_id(each) for each in redirects))


def read(messages, seed: int) -> dict[str, str]:
    """What a reader knows that keeps, for each id, the assignment of the highest version."""
    known: dict[str, tuple[int, str]] = {}
    messages = list(messages)
    random.Random(seed).shuffle(messages)
    for message in messages:
        for part in message.profiles:
            for each in (part.profile_id, *part.redirect_ids):
                if part.version >= known.get(each, (0, ""))[0]:
                    known[each] = (part.version, part.profile_id)
    return {each: stands_for for each, (_, stands_for) in known.items()}


def test_a_usual_change_is_one_event() -> None:
    for told in (
        ProfileUpdated(result(1)),
        ProfilesMerged(result(1, range(2, 30)), Cause.MATCHER),
        ProfileSplit(profile_id(1), (profile_id(2),), (result(1), result(2)), Cause.STEWARD),
    ):
        (message,) = events_of(told, AT)
        validate(message)
        assert message.recorded_at.ToDatetime(UTC) == AT


@pytest.mark.parametrize("redirects", [MOST_REDIRECTS, MOST_REDIRECTS + 1, 3 * MOST_REDIRECTS - 1])
def test_a_merge_with_more_ids_than_an_event_may_hold_is_told_in_parts(redirects: int) -> None:
    told = ProfilesMerged(result(0, range(1, redirects + 1)), Cause.MATCHER)
    messages = list(events_of(told, AT))
    for message in messages:
        validate(message)
        assert message.ByteSize() < MOST_BYTES + 1000
    assert len(messages) == -(-redirects // MOST_REDIRECTS)
    for seed in range(3):
        assert read(messages, seed) == {profile_id(each): profile_id(0) for each in range(redirects + 1)}


def test_a_split_into_more_profiles_than_an_event_may_hold_is_told_in_parts() -> None:
    left = result(0, range(5_000, 5_000 + 2 * MOST_REDIRECTS + 1))
    gone = [result(number, brands=150 if number % 3 == 0 else 1) for number in range(1, 2_500)]
    issued = tuple(each.profile_id for each in gone[:1_700])
    messages = list(events_of(ProfileSplit(profile_id(0), issued, (*gone[:9], left, *gone[9:]), Cause.STEWARD), AT))
    for message in messages:
        validate(message)
        assert message.ByteSize() < 900_000
    splits = [message for message in messages if isinstance(message, events_pb2.ProfileSplit)]
    assert sorted(each for message in splits for each in message.issued_ids) == sorted(issued)
    expected = {each.profile_id: each.profile_id for each in (left, *gone)}
    expected |= dict.fromkeys(left.redirect_ids, left.profile_id)
    for seed in range(3):
        assert read(messages, seed) == expected


def test_a_state_is_stored_and_read_as_it_was() -> None:
    for brands in (1, 3, 500):
        assert state_in(state_bytes(state(brands))) == state(brands)
    assert len(state(500).brand_ids) == 200
