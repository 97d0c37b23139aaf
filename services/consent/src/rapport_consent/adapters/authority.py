"""Answers from the ledger itself, by the rules every gate decides by."""

from __future__ import annotations

from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_privacy.contents import Contents
from rapport_privacy.decision import Decision
from rapport_privacy.rules import decide
from rapport_privacy.vocabulary import Answer, Reason

from rapport_consent.adapters import head
from rapport_consent.adapters.catalogue import CatalogueCache
from rapport_consent.adapters.ledger import read_rows
from rapport_consent.app.ledger import Token
from rapport_consent.app.read_ledger import Reading
from rapport_consent.domain.resolution import resolve_subject
from rapport_consent.translate.ledger import subject_state, withhold
from rapport_consent.translate.purposes import purpose_state


class Authority:
    """Reads the ledger for one question at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._catalogue = CatalogueCache()

    async def read(self, profile_id: str) -> Reading:
        """Return the rows about a person. They may be newer than the head they come with, never older.

        Raises:
            RapportError: NOT_READY.
        """
        async with self._database.transaction() as connection:
            present = await head.whole(connection)
            catalogue = await self._catalogue.read(connection)
            rows = await read_rows(connection, [profile_id])
        return Reading(present.epoch, present.position, catalogue, tuple(rows), present.doubted_until)

    async def check(self, entry: consent_pb2.CheckEntry, at_least: Token | None) -> Decision:
        """Answer whether an effect is allowed now.

        Raises:
            RapportError: BRAND_REQUIRED, NOT_READY.
        """
        reading = await self.read(entry.profile_id)
        now = self._clock.now()
        subject = resolve_subject(reading.history(), entry.profile_id)
        told = subject_state(subject, now)
        withhold(told.states, reading.doubted_until)
        contents = _contents(reading, told, entry.purpose_id)
        verdict = decide(
            contents.purposes.get(entry.purpose_id),
            contents.subjects.get(entry.profile_id),
            erased=bool(subject.fences),
            now=now,
            brand_id=entry.brand_id,
            market=entry.market,
            data_category=entry.data_category,
        )
        answer, reason = verdict.answer, verdict.reason
        if at_least is not None and not _met(at_least, reading) and reason != Reason.ERASED:
            answer, reason = Answer.DENY_STALE, Reason.TOKEN_UNMET
        return Decision(
            answer,
            reason,
            verdict.basis,
            verdict.purpose_version,
            subject.profile_id,
            verdict.state,
            reading.epoch,
            reading.position,
            now,
            0.0,
        )


def _contents(reading: Reading, subject: ledger_pb2.SubjectState, purpose_id: str) -> Contents:
    """What a gate would hold of this person and purpose."""
    purpose = reading.catalogue.purposes.get(purpose_id)
    contents = Contents()
    contents.fold(
        ledger_pb2.LedgerChange(subjects=[subject], purposes=[purpose_state(purpose)] if purpose is not None else [])
    )
    return contents


def _met(at_least: Token, reading: Reading) -> bool:
    return at_least.epoch == reading.epoch and at_least.position <= reading.position
