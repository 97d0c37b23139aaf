"""What every write to the ledger does: read the catalogue, lock the head, record rows, say what they changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol

from rapport_chassis.ids import new_ids

from rapport_consent.app.catalogue import Catalogue
from rapport_consent.domain.changes import LedgerChange, change_by
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.history import History
from rapport_consent.domain.notices import Notice
from rapport_consent.domain.resolution import resolve_fences
from rapport_consent.domain.rows import STATUS_OF, LedgerRow


@dataclass(frozen=True, slots=True)
class Token:
    """Freshness token: a check that carries it knows the write."""

    epoch: str
    position: int


@dataclass(slots=True)
class Known:
    """The ledger as a writer sees it between taking the lock and the commit.

    Attributes:
        epoch: The ledger's present life.
        position: The last position taken.
        recorded_at: Time of the rows to come: the database's clock, never earlier than that of an earlier position.
        catalogue: Purposes, as of this very position.
        history: Rows of the families of the ids that were asked for.
        references: New ledger event ids.
        receipt_ids: New receipt ids.
    """

    epoch: str
    position: int
    recorded_at: datetime
    catalogue: Catalogue
    history: History
    references: Iterator[str] = field(default_factory=partial(new_ids, "ledger_event"))
    receipt_ids: Iterator[str] = field(default_factory=partial(new_ids, "receipt"))

    def refuse_fenced(self, profile_id: str) -> None:
        """Refuse an id around which a fence stands.

        Raises:
            RapportError: PROFILE_ERASED.
        """
        if resolve_fences(self.history, profile_id):
            raise ERRORS.error("PROFILE_ERASED", "the profile was erased, for ever", field="profile_id")

    def take(self, named_id: str, draft: Draft) -> LedgerRow:
        """Return the draft as the row of the next position."""
        self.position += 1
        return draft.at(
            self.position,
            recorded_at=self.recorded_at,
            reference=next(self.references),
            named_id=named_id,
            receipt_id=next(self.receipt_ids) if draft.kind in STATUS_OF else "",
        )


class Unit(Protocol):
    """One transaction on the ledger. `lock` comes after all that needs no position, `write` after it."""

    async def catalogue(self) -> Catalogue:
        """Return purposes as they are now."""
        ...

    async def notice(self, notice_id: str, version: int, locale: str) -> Notice | None:
        """Return a published notice, in any language if none is given."""
        ...

    async def lock(self, profile_ids: Collection[str]) -> Known:
        """Take the head of the ledger and return what is known of these ids."""
        ...

    async def write(self, known: Known, changes: Sequence[LedgerChange]) -> None:
        """Insert rows, projections and events, and advance the head."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerWrite:
    """What a write returns: its rows, a freshness token, and the id that stands for the person now."""

    rows: tuple[LedgerRow, ...]
    token: Token
    current_id: str


async def write(unit: Unit, known: Known, profile_id: str, drafts: Sequence[Draft]) -> LedgerWrite:
    """Record drafts about one person.

    Raises:
        RapportError: PROFILE_ERASED.
    """
    known.refuse_fenced(profile_id)
    changes = [change_by(known.history, known.take(profile_id, draft)) for draft in drafts]
    await unit.write(known, changes)
    return LedgerWrite(
        rows=tuple(change.row for change in changes),
        token=Token(known.epoch, known.position),
        current_id=known.history.partition.survivor(profile_id),
    )
