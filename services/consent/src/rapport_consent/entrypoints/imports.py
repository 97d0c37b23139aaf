"""The import stream: a header, then batches, each answered once it is durable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

from rapport.consent.v1 import consent_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.events.tasks import end
from rapport_chassis.rpc.status import encode
from rapport_chassis.times import moment
from rapport_privacy.vocabulary import Status

from rapport_consent.app.import_consents import Imported, ImportedBatch, ImportRow, import_consents
from rapport_consent.domain.answers import PastDecision
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.evidence import ImportedEvidence
from rapport_consent.entrypoints.ports import LedgerStore
from rapport_consent.translate.decisions import imported_evidence_of
from rapport_consent.translate.ledger import position_message

_LOOK_EVERY_S = 0.05
_LOOK_AGAIN_S = 0.1


class _Batch(NamedTuple):
    evidence: ImportedEvidence
    dry_run: bool
    rows: list[ImportRow]


@dataclass(frozen=True)
class Imports:
    """Imports decisions of the past, no faster than their events are published."""

    store: LedgerStore
    clock: Clock
    pause_s: float

    async def run(
        self, messages: AsyncIterator[consent_pb2.RecordConsentsRequest]
    ) -> AsyncGenerator[consent_pb2.RecordConsentsResponse, None]:
        """Answer each batch, in order.

        Raises:
            RapportError: IMPORT_HEADER_MISSING, NOT_READY. Batches answered before stand; a row sent again is answered.
        """
        looked_at = 0.0
        async with aclosing(_one_ahead(_batches(messages))) as batches:
            async for evidence, dry_run, rows in batches:
                if not dry_run and time.monotonic() - looked_at > _LOOK_AGAIN_S:
                    await self._wait_for_relay()
                    looked_at = time.monotonic()
                async with self.store.unit() as unit:
                    batch = await import_consents(unit, rows, evidence, now=self.clock.now(), dry_run=dry_run)
                yield _answer(batch)

    async def _wait_for_relay(self) -> None:
        """Withdrawals must not wait behind an import: pause while the oldest event is too old."""
        while await self.store.oldest_unpublished_s() > self.pause_s:
            await self.clock.sleep(_LOOK_EVERY_S)


async def _batches(messages: AsyncIterator[consent_pb2.RecordConsentsRequest]) -> AsyncGenerator[_Batch, None]:
    evidence: ImportedEvidence | None = None
    dry_run = False
    async for message in messages:
        if (message.WhichOneof("message") == "header") is (evidence is not None):
            raise ERRORS.error("IMPORT_HEADER_MISSING", "an import opens with one header", field="header")
        if evidence is None:
            evidence, dry_run = imported_evidence_of(message.header.evidence), message.header.dry_run
        else:
            yield _Batch(evidence, dry_run, [_row_of(row) for row in message.batch.rows])


async def _one_ahead(batches: AsyncIterator[_Batch]) -> AsyncGenerator[_Batch, None]:
    """Iterate, and read the next batch while the database is at work on the one given out."""

    async def read() -> _Batch | None:
        return await anext(batches, None)

    reading = asyncio.create_task(read())
    try:
        while (batch := await reading) is not None:
            reading = asyncio.create_task(read())
            yield batch
    finally:
        await end(reading)


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
