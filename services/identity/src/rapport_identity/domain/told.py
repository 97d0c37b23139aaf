"""What is told of profiles: who stands for whom, as versions that rise, and never who anybody is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rapport_identity.domain.facets import ProfileState


class Cause(StrEnum):
    """Who decided a merge or split."""

    MATCHER = "matcher"
    """The matcher, when a record arrived or changed."""
    STEWARD = "steward"
    """A steward."""
    MATCHER_CHANGE = "matcher_change"
    """Another version of the matcher was activated."""
    SHARED_IDENTIFIER = "shared_identifier"
    """An identifier turned out to be shared by many."""


@dataclass(frozen=True, slots=True)
class Result:
    """A profile as a change leaves it.

    Attributes:
        profile_id: Its id.
        version: Its version.
        state: All that others may know of it.
        redirect_ids: Every id that redirects to it now, in order; told of merges and splits only.
    """

    profile_id: str
    version: int
    state: ProfileState
    redirect_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProfileCreated:
    """A profile was made."""

    profile: Result


@dataclass(frozen=True, slots=True)
class ProfileUpdated:
    """What may be known of a profile has changed."""

    profile: Result


@dataclass(frozen=True, slots=True)
class ProfilesMerged:
    """Profiles turned out to be one person."""

    survivor: Result
    cause: Cause


@dataclass(frozen=True, slots=True)
class ProfileSplit:
    """A profile turned out to be several people.

    Attributes:
        left_id: The profile, which goes on as one of the results.
        issued_ids: Ids that the split issued for the first time.
        results: Every profile that results.
        cause: Who decided.
    """

    left_id: str
    issued_ids: tuple[str, ...]
    results: tuple[Result, ...]
    cause: Cause


Told = ProfileCreated | ProfileUpdated | ProfilesMerged | ProfileSplit
"""One thing that is told."""
