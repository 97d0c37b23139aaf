"""Rows of the ledger, ordered for resolution: by the id they name, with the history of who is who beside them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from rapport_privacy.vocabulary import DIRECT_MARKETING, EvidenceKind

from rapport_consent.domain.closure import Partition
from rapport_consent.domain.rows import NEGATIVES, LedgerRow, RowKind
from rapport_consent.domain.states import Fence, Key


@dataclass(frozen=True, slots=True)
class PurposeTraits:
    """What is the same in all versions of a purpose and shapes its keys."""

    brand_scoped: bool
    direct_marketing: bool


_OTHER: Final = PurposeTraits(brand_scoped=True, direct_marketing=False)  # the class of direct marketing has brands
_RESTRICTIONS: Final = frozenset({RowKind.RESTRICT, RowKind.LIFT})
_DECISIONS: Final = NEGATIVES | {RowKind.GRANT}


class Scope(NamedTuple):
    """The rows that a key listens to.

    A purpose without brands has one key, which hears what was said of it, or of direct marketing, at any brand: it
    cannot be refused in part.
    """

    purpose_id: str
    brand_id: str
    brand_scoped: bool
    direct_marketing: bool

    def hears(self, row: LedgerRow) -> bool:
        """True if a decision bears on the key."""
        if row.purpose_id != self.purpose_id and not (self.direct_marketing and row.purpose_id == DIRECT_MARKETING):
            return False
        if not self.brand_scoped or row.brand_id == self.brand_id:
            return True
        return not row.brand_id and row.kind is not RowKind.GRANT


class History:
    """Rows about any number of people.

    To resolve a profile, the rows that name any id of its family (`Partition.family_of`) must be here, those of its
    merges and splits included; for an id that no merge or split ever named, these are its own.
    """

    __slots__ = ("_decisions", "_fences", "_restrictions", "_scopes", "_traits", "partition")

    def __init__(self, traits: Mapping[str, PurposeTraits], rows: Iterable[LedgerRow] = ()) -> None:
        """Take rows in the order of their positions.

        Args:
            traits: Traits of every purpose that the rows name.
            rows: The rows.
        """
        self.partition = Partition()
        self._traits = traits
        self._decisions: dict[str, list[LedgerRow]] = {}
        self._restrictions: dict[str, list[LedgerRow]] = {}
        self._fences: dict[str, Fence] = {}
        self._scopes: dict[Key, Scope] = {}
        for row in rows:
            self.add(row)

    def add(self, row: LedgerRow) -> frozenset[str]:
        """Add the next row; return the profiles, as they now are, whose state it may change."""
        kind, named_id = row.kind, row.named_id
        if kind in _DECISIONS:
            self._decisions.setdefault(named_id, []).append(row)
        elif kind in _RESTRICTIONS:
            self._restrictions.setdefault(named_id, []).append(row)
        elif kind is RowKind.FENCE:
            self._fences.setdefault(named_id, Fence(named_id, row.position))
        elif row.partition is not None:
            return self.partition.apply(row.position, row.partition)
        else:
            return frozenset()
        return frozenset((self.partition.survivor(named_id),))

    def decisions(self, profile_id: str) -> list[LedgerRow]:
        """Return the grants and negatives that name an id, by position."""
        return self._decisions.get(profile_id, [])

    def restrictions(self, profile_id: str) -> list[LedgerRow]:
        """Return the restrictions, and what lifted them, that name an id, by position."""
        return self._restrictions.get(profile_id, [])

    def fence(self, profile_id: str) -> Fence | None:
        """Return the fence around an id; it stands around every profile that the id is part of."""
        return self._fences.get(profile_id)

    def key_of(self, row: LedgerRow) -> Key:
        """Return the key that a decision is about."""
        return Key(row.purpose_id, row.brand_id if self._traits.get(row.purpose_id, _OTHER).brand_scoped else "")

    def scope(self, key: Key) -> Scope:
        """Return the rows that a key listens to."""
        scope = self._scopes.get(key)
        if scope is None:
            traits = self._traits.get(key.purpose_id, _OTHER)
            scope = Scope(*key, traits.brand_scoped, traits.direct_marketing)
            self._scopes[key] = scope
        return scope


def is_declared(row: LedgerRow) -> bool:
    """True if the operator's word is all there is: not a decision by the person."""
    return row.evidence is not None and row.evidence.kind is EvidenceKind.DECLARED
