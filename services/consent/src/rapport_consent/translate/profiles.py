"""What identity tells of profiles."""

from __future__ import annotations

from rapport.identity.v1 import events_pb2 as identity_events_pb2

from rapport_consent.domain.rows import PartitionChange, ResultingProfile


def merge_of(event_id: str, message: identity_events_pb2.ProfilesMerged) -> PartitionChange:
    """Return the merge that identity tells of."""
    return PartitionChange(event_id, tuple(map(_resulting, message.profiles)))


def split_of(event_id: str, message: identity_events_pb2.ProfileSplit) -> PartitionChange:
    """Return the split that identity tells of."""
    return PartitionChange(event_id, tuple(map(_resulting, message.profiles)), tuple(message.issued_ids))


def _resulting(profile: identity_events_pb2.ResultingProfile) -> ResultingProfile:
    redirects = tuple(i for i in profile.redirect_ids if i != profile.profile_id)
    return ResultingProfile(profile.profile_id, profile.version, redirects)
