"""The import stream: a header, then batches, each answered once it is durable."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from rapport.consent.v1 import consent_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.rpc.status import encode
from rapport_privacy.vocabulary import Status

from rapport_consent.app.import_consents import Imported, ImportedBatch, ImportRow, import_consents
from rapport_consent.domain.answers import PastDecision
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.evidence import ImportedEvidence
from rapport_consent.entrypoints.ports import LedgerStore
from rapport_consent.translate import imported_evidence_of, moment, position_message

_LOOK_EVERY_S = 0.05
_LOOK_AGAIN_S = 0.1


@dataclass(frozen=True)
class Imports:
    """Imports decisions of the past, no faster than their events are published."""

    store: LedgerStore
    clock: Clock
    pause_s: float

    async def run(
        self, messages: AsyncIterator[consent_pb2.RecordConsentsRequest]
    ) -> AsyncIterator[consent_pb2.RecordConsentsResponse]:
        """Answer each batch, in order.

        Raises:
            RapportError: IMPORT_HEADER_MISSING, NOT_READY. Batches answered before stand; a row sent again is answered.
        """
        evidence: ImportedEvidence | None = None
        dry_run = False
        looked_at = 0.0
        async for message in messages:
            if (message.WhichOneof("message") == "header") is (evidence is not None):
                raise ERRORS.error("IMPORT_HEADER_MISSING", "an import opens with one header", field="header")
            if evidence is None:
                evidence, dry_run = imported_evidence_of(message.header.evidence), message.header.dry_run
                continue
            if not dry_run and time.monotonic() - looked_at > _LOOK_AGAIN_S:
                await self._wait_for_relay()
                looked_at = time.monotonic()
            rows = [_row_of(row) for row in message.batch.rows]
            async with self.store.unit() as unit:
                batch = await import_consents(unit, rows, evidence, now=self.clock.now(), dry_run=dry_run)
            yield _answer(batch)

    async def _wait_for_relay(self) -> None:
        """Withdrawals must not wait behind an import: pause while the oldest event is too old."""
        while await self.store.oldest_unpublished_s() > self.pause_s:
            await self.clock.sleep(_LOOK_EVERY_S)


def _row_of(row: consent_pb2.ImportRow) -> ImportRow:
    past = PastDecision(
        row.purpose_id,
        row.brand_id,
        Status(row.status),
        moment(row.occurred_at),
        row.notice_id,
        row.notice_version,
    )
    return ImportRow(row.external_id, row.profile_id, past)


def _answer(batch: ImportedBatch) -> consent_pb2.RecordConsentsResponse:
    return consent_pb2.RecordConsentsResponse(
        results=[_result(result) for result in batch.results],
        token=position_message(batch.token) if batch.token else None,
    )


def _result(result: Imported) -> consent_pb2.ImportResult:
    status = encode(result.error, "") if result.error else None
    return consent_pb2.ImportResult(status=status, reference=result.reference)
