"""What the rows come to: the state of a key, the restriction, the fence, and the whole state of a profile."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from rapport_privacy.vocabulary import EvidenceKind, Status


class Key(NamedTuple):
    """A purpose, or "direct_marketing.*", and a brand; the brand is empty for all."""

    purpose_id: str
    brand_id: str


class GrantingId(NamedTuple):
    """An id that grants, by its own rows or by a later decision of the survivor, and when that grant ends."""

    profile_id: str
    expires_at: datetime | None


class KeyState(NamedTuple):
    """The decision in force for one key over the closure of a profile.

    Attributes:
        key: The key.
        status: What the decision was.
        decided_at: When, in the world.
        reference: Ledger event id of the row in force.
        position: Its position.
        expires_at: When a grant ends; None for never.
        notice_id: Notice under which it was made; empty if none.
        notice_version: Version of that notice.
        evidence: Where its proof comes from.
        granting: Ids whose contact points a grant covers, in order of id; none where the status is no grant.
        reask_not_before: The person is not to be asked again before: the latest such time of all negatives in force.
    """

    key: Key
    status: Status
    decided_at: datetime
    reference: str
    position: int
    expires_at: datetime | None = None
    notice_id: str = ""
    notice_version: int = 0
    evidence: EvidenceKind = EvidenceKind.UNSPECIFIED
    granting: tuple[GrantingId, ...] = ()
    reask_not_before: datetime | None = None

    def granting_ids(self, at: datetime) -> tuple[str, ...]:
        """Return the ids that grant at this time."""
        return tuple(g.profile_id for g in self.granting if g.expires_at is None or g.expires_at > at)

    def permits(self, at: datetime) -> bool:
        """True if this is a grant that has not expired at this time."""
        return self.status is Status.GRANTED and (self.expires_at is None or self.expires_at > at)


@dataclass(frozen=True, slots=True)
class Restriction:
    """Processing is restricted to storage: the ground, since when in the world, and the row that says so."""

    ground: str
    since: datetime
    reference: str


@dataclass(frozen=True, slots=True)
class Fence:
    """A fence around an id: nothing may ever be done with it again."""

    profile_id: str
    position: int


@dataclass(frozen=True, slots=True)
class SubjectState:
    """The whole state of a profile.

    Attributes:
        profile_id: The id that stands for it.
        redirect_ids: Every other id of its closure, in order.
        states: States of all keys, in order of key.
        restriction: None if there is none.
        fences: Fences around ids of the closure; any of them fences the whole.
    """

    profile_id: str
    redirect_ids: tuple[str, ...]
    states: tuple[KeyState, ...]
    restriction: Restriction | None
    fences: tuple[Fence, ...]
