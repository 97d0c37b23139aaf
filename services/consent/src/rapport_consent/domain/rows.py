"""The ledger as the rules see it: a list of rows in the order of their positions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from rapport_privacy.vocabulary import Status

from rapport_consent.domain.evidence import Evidence


class RowKind(StrEnum):
    """What a row records."""

    GRANT = "grant"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    OBJECT = "object"
    OPT_OUT = "opt_out"
    RESTRICT = "restrict"
    LIFT = "lift"
    MERGE = "merge"
    SPLIT = "split"
    FENCE = "fence"
    PURPOSE = "purpose"
    BLANK = "blank"
    """A row that was about an erased person: nothing is left of it but its position."""

    __hash__ = str.__hash__  # what it compares as; an enumeration's own takes six times as long


STATUS_OF: Final = {
    RowKind.GRANT: Status.GRANTED,
    RowKind.REFUSE: Status.REFUSED,
    RowKind.WITHDRAW: Status.WITHDRAWN,
    RowKind.OBJECT: Status.OBJECTED,
    RowKind.OPT_OUT: Status.OPTED_OUT,
}
"""The status a decision leads to while it is in force."""

KIND_OF: Final = {status: kind for kind, status in STATUS_OF.items()}
"""The kind of row that records a status."""

RESTRICTIVENESS: Final = {
    RowKind.GRANT: 0,
    RowKind.REFUSE: 1,
    RowKind.WITHDRAW: 2,
    RowKind.OPT_OUT: 3,
    RowKind.OBJECT: 4,
    RowKind.LIFT: 0,
    RowKind.RESTRICT: 1,
}
"""Which of two decisions of the same time holds: the more restrictive."""

NEGATIVES: Final = frozenset({RowKind.REFUSE, RowKind.WITHDRAW, RowKind.OBJECT, RowKind.OPT_OUT})
"""Kinds of rows by which a person says no."""


@dataclass(frozen=True, slots=True)
class ResultingProfile:
    """A profile as identity left it: its version, and every id that now redirects to it, its own not among them."""

    profile_id: str
    version: int
    redirect_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PartitionChange:
    """What identity said of a merge or split, kept in the row that followed it.

    Attributes:
        identity_event_id: Identity's event.
        profiles: Every profile that results.
        issued_ids: Ids that a split issued for the first time.
    """

    identity_event_id: str
    profiles: tuple[ResultingProfile, ...]
    issued_ids: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """Every id concerned."""
        return frozenset(i for profile in self.profiles for i in (profile.profile_id, *profile.redirect_ids))

    @property
    def left_ids(self) -> frozenset[str]:
        """The ids of the profile that the issued ones left."""
        return self.ids.difference(self.issued_ids)


class LedgerRow(NamedTuple):
    """One row of the ledger.

    Attributes:
        position: Gap-free, in commit order.
        recorded_at: When it was recorded here.
        reference: Ledger event id.
        named_id: The id the caller named, kept for ever; the purpose in a row about a purpose.
        kind: What it records.
        occurred_at: When it happened, in the world.
        purpose_id: The purpose, or "direct_marketing.*"; empty where the row is about none.
        brand_id: The brand; empty for all.
        expires_at: When a grant ends; None for never.
        reask_not_before: The person is not to be asked again before; None for no such rule.
        purpose_version: Version of the purpose in force when it was recorded.
        notice_id: The notice shown; empty if none.
        notice_version: Its version.
        locale: Language it was shown in.
        market: Market of the person; empty if unknown.
        evidence: Proof of a decision.
        ground: Coded ground of a restriction.
        receipt_id: Its receipt; empty where there is none.
        carried_after: Set on a negative carried over from an erased id, to which it was once joined: only a grant
            recorded after this position lifts it.
        partition: What a merge or split led to.
    """

    position: int
    recorded_at: datetime
    reference: str
    named_id: str
    kind: RowKind
    occurred_at: datetime
    purpose_id: str = ""
    brand_id: str = ""
    expires_at: datetime | None = None
    reask_not_before: datetime | None = None
    purpose_version: int = 0
    notice_id: str = ""
    notice_version: int = 0
    locale: str = ""
    market: str = ""
    evidence: Evidence | None = None
    ground: str = ""
    receipt_id: str = ""
    carried_after: int | None = None
    partition: PartitionChange | None = None


_SELF_CONTAINED: Final = frozenset({RowKind.MERGE, RowKind.SPLIT, RowKind.PURPOSE, RowKind.BLANK})


def as_known(
    rows: Iterable[LedgerRow],
    *,
    position: int | None = None,
    recorded_until: datetime | None = None,
    decided_until: datetime | None = None,
) -> Iterator[LedgerRow]:
    """Travel in time: the rows that were known, less decisions that had not been made.

    Merges and splits are knowledge about who is who: they hold for all times once known.

    Args:
        rows: Rows in the order of their positions.
        position: Known up to this position; None for all.
        recorded_until: Known at this time; None for all.
        decided_until: Decided, in the world, up to this time; None for all.
    """
    for row in rows:
        if position is not None and row.position > position:
            continue
        if recorded_until is not None and row.recorded_at > recorded_until:
            continue
        if decided_until is None or row.occurred_at <= decided_until or row.kind in _SELF_CONTAINED:
            yield row
