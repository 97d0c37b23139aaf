"""Use case: import decisions of the past, a batch at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from rapport_chassis.errors import RapportError

from rapport_consent.app.ledger import Token, Unit
from rapport_consent.domain.answers import PastDecision, draft_import
from rapport_consent.domain.changes import LedgerChange, change_by
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.evidence import ImportedEvidence
from rapport_consent.domain.notices import Notice


class ImportingUnit(Unit, Protocol):
    """A unit that remembers which rows of a source were imported."""

    async def imported(self, source: str, external_ids: Collection[str]) -> Mapping[str, str]:
        """Return the ledger event ids of rows imported before, by external id."""
        ...

    async def remember_imported(self, references: Mapping[str, str]) -> None:
        """Remember rows just imported, by the external ids that `imported` was asked about."""
        ...


class ImportRow(NamedTuple):
    """One decision of the past: its key in the source, the person, and what was decided."""

    external_id: str
    profile_id: str
    past: PastDecision


class Imported(NamedTuple):
    """What became of a row: its ledger event id, or why it was refused; an earlier one's id with the refusal."""

    reference: str = ""
    error: RapportError | None = None


@dataclass(frozen=True, slots=True)
class ImportedBatch:
    """What became of a batch, and the token of what was written; None where nothing was."""

    results: tuple[Imported, ...]
    token: Token | None


async def import_consents(
    unit: ImportingUnit, rows: Sequence[ImportRow], evidence: ImportedEvidence, *, now: datetime, dry_run: bool
) -> ImportedBatch:
    """Import the rows that can be recorded and say why the others cannot. A dry run says the same but writes not."""
    catalogue = await unit.catalogue()
    results: list[Imported | None] = [None] * len(rows)
    earlier = dict(await unit.imported(evidence.source, {row.external_id for row in rows}))
    notices: dict[tuple[str, int], Notice | None] = {}
    drafts: list[tuple[int, Draft]] = []
    seen: set[str] = set()
    for index, row in enumerate(rows):
        if row.external_id in earlier or row.external_id in seen:
            continue
        seen.add(row.external_id)
        past = row.past
        named = (past.notice_id, past.notice_version)
        if past.notice_id and named not in notices:
            notices[named] = await unit.notice(*named, "")
        try:
            drafts.append((index, draft_import(past, evidence, notices.get(named), catalogue.purposes, now=now)))
        except RapportError as error:
            results[index] = Imported(error=error)

    known = await unit.lock({rows[index].profile_id for index, _ in drafts})
    changes: list[LedgerChange] = []
    references: dict[str, str] = {}
    for index, draft in drafts:
        row = rows[index]
        try:
            known.refuse_fenced(row.profile_id)
        except RapportError as error:
            results[index] = Imported(error=error)
            continue
        change = change_by(known.history, known.take(row.profile_id, draft))
        changes.append(change)
        references[row.external_id] = change.row.reference
        results[index] = Imported(reference="" if dry_run else change.row.reference)
    if not dry_run and changes:
        await unit.write(known, changes)
        await unit.remember_imported(references)
    known_references = earlier if dry_run else earlier | references
    return ImportedBatch(
        tuple(
            result or _repeated(known_references.get(row.external_id, ""))
            for row, result in zip(rows, results, strict=True)
        ),
        Token(known.epoch, known.position) if changes and not dry_run else None,
    )


def _repeated(reference: str) -> Imported:
    return Imported(reference, ERRORS.error("ROW_ALREADY_IMPORTED", "the row was imported before", field="external_id"))
