"""What is told of profiles, as events of the contract, each within the contract's limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from rapport.identity.v1 import events_pb2
from rapport_chassis.times import moment, set_stamp

from rapport_identity.domain.facets import ProfileState
from rapport_identity.domain.told import (
    Cause,
    ProfileCreated,
    ProfilesMerged,
    ProfileSplit,
    ProfileUpdated,
    Result,
    Told,
)

SOURCE: Final = "identity"
"""Whose events they are."""

MOST_REDIRECTS: Final = 10_000
MOST_RESULTS: Final = 1_000
MOST_BYTES: Final = 600_000
"""Most that one event says: ids that redirect to a profile, profiles, and bytes of them; a relay refuses 900 KB."""

CAUSES: Final = {
    Cause.MATCHER: events_pb2.RESOLUTION_CAUSE_MATCHER,
    Cause.STEWARD: events_pb2.RESOLUTION_CAUSE_STEWARD,
    Cause.MATCHER_CHANGE: events_pb2.RESOLUTION_CAUSE_MATCHER_CHANGE,
    Cause.SHARED_IDENTIFIER: events_pb2.RESOLUTION_CAUSE_SHARED_IDENTIFIER,
}

Event = events_pb2.ProfileCreated | events_pb2.ProfileUpdated | events_pb2.ProfilesMerged | events_pb2.ProfileSplit


def state_message(state: ProfileState) -> events_pb2.ProfileState:
    """Return what others may know of a profile as a message."""
    message = events_pb2.ProfileState(
        anonymous=state.anonymous,
        identifier_kinds=state.identifier_kinds,  # type: ignore[arg-type] # the numbers are the contract's
        record_count=state.record_count,
        brand_ids=state.brand_ids,
        markets=state.markets,
        locale=state.locale,
        time_zones=state.time_zones,
    )
    set_stamp(message.first_seen_at, state.first_seen_at)
    return message


def state_bytes(state: ProfileState) -> bytes:
    """Return what others may know of a profile as it is stored."""
    return state_message(state).SerializeToString(deterministic=True)


def state_in(stored: bytes) -> ProfileState:
    """Return what others may know of a profile, from how it is stored."""
    message = events_pb2.ProfileState.FromString(stored)
    return ProfileState(
        message.anonymous,
        tuple(message.identifier_kinds),
        message.record_count,
        tuple(message.brand_ids),
        tuple(message.markets),
        message.locale,
        tuple(message.time_zones),
        moment(message.first_seen_at),
    )


def events_of(told: Told, recorded_at: datetime) -> Iterator[Event]:
    """Yield the events that tell of it: one, but where that would be larger than the contract allows.

    The parts of what is cut say the same version, each of other ids. A reader keeps, for each id, the assignment of the
    highest version; so it ends in the same state whichever parts it has read, in whatever order.
    """
    for message in _events(told):
        set_stamp(message.occurred_at, recorded_at)
        set_stamp(message.recorded_at, recorded_at)
        yield message


def _events(told: Told) -> Iterator[Event]:
    match told:
        case ProfileCreated(made):
            yield events_pb2.ProfileCreated(
                profile_id=made.profile_id, version=made.version, state=state_message(made.state)
            )
        case ProfileUpdated(made):
            yield events_pb2.ProfileUpdated(
                profile_id=made.profile_id, version=made.version, state=state_message(made.state)
            )
        case ProfilesMerged(survivor, cause):
            for part in _parts(survivor):
                yield events_pb2.ProfilesMerged(survivor_id=survivor.profile_id, profiles=[part], cause=CAUSES[cause])
        case ProfileSplit():
            yield from _splits(told)


def _splits(told: ProfileSplit) -> Iterator[events_pb2.ProfileSplit]:
    """Yield the events of a split: in each the profile that was split, and some of those that left it."""
    (left,) = (each for each in told.results if each.profile_id == told.left_id)
    stayed, *further = _parts(left)
    gone = [part for each in told.results if each is not left for part in _parts(each)]
    untold = set(told.issued_ids)
    for group in (*_groups(stayed, gone), *([part, gone[0]] for part in further)):
        issued = [each for part in group if (each := part.profile_id) in untold]
        untold.difference_update(issued)
        yield events_pb2.ProfileSplit(
            left_profile_id=told.left_id, issued_ids=issued, profiles=group, cause=CAUSES[told.cause]
        )


def _groups(
    stayed: events_pb2.ResultingProfile, gone: Sequence[events_pb2.ResultingProfile]
) -> Iterator[list[events_pb2.ResultingProfile]]:
    """Yield the one that was split with some of the others, until all have had their turn."""
    group, size = [stayed], stayed.ByteSize()
    for part in gone:
        if len(group) > 1 and (len(group) == MOST_RESULTS or size + part.ByteSize() > MOST_BYTES):
            yield group
            group, size = [stayed], stayed.ByteSize()
        group.append(part)
        size += part.ByteSize()
    yield group


def _parts(result: Result) -> list[events_pb2.ResultingProfile]:
    """Return a profile as a change leaves it, in as many messages as its redirects need."""
    state, ids = state_message(result.state), result.redirect_ids
    return [
        events_pb2.ResultingProfile(
            profile_id=result.profile_id,
            version=result.version,
            redirect_ids=ids[first : first + MOST_REDIRECTS],
            state=state,
        )
        for first in range(0, max(len(ids), 1), MOST_REDIRECTS)
    ]
