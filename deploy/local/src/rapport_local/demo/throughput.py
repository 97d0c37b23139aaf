"""How fast it is, measured for a few seconds from one Python client on the same machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport.identity.v1 import identity_pb2
from rapport_chassis.times import stamp

from rapport_local.demo.asking import grant, person, request_id
from rapport_local.demo.channels import Somebody
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import ANALYTICS, DELIVERY, EMAIL, NORTH
from rapport_local.demo.shop import Cast

_SECONDS: Final = 0.5
_AT_A_TIME: Final = 16
_ROWS: Final = 2_000
_ROWS_PER_BATCH: Final = 500


async def throughput(report: Report, cast: Cast) -> None:
    """Check, record, import, look up and resolve, each for a while."""
    report.say(
        f"One Python client and the services share {os.cpu_count()} cores; every write is on disk when it is answered. "
        "Measured against floors: make bench."
    )
    entry = consent_pb2.CheckEntry(profile_id=person(), purpose_id=DELIVERY)
    check = consent_pb2.CheckConsentRequest(entry=entry)
    checks = await _repeat(lambda: cast.untraced.CheckConsent(check), at_a_time=1)
    many = await _repeat(lambda: cast.untraced.CheckConsent(check), at_a_time=_AT_A_TIME)
    writes = await _repeat(lambda: cast.untraced.RecordConsent(grant(person(), EMAIL, NORTH)), at_a_time=_AT_A_TIME)
    imported, took_s = await _import(cast)
    lookups, resolved = await _identity(cast)
    report.rows(
        [
            ("", "a second", "p50", "p99"),
            ("CheckConsent, one after another", *_figures(checks)),
            (f"CheckConsent, {_AT_A_TIME} at a time", *_figures(many)),
            (f"RecordConsent, durable, {_AT_A_TIME} at a time", *_figures(writes)),
            (f"import of {_ROWS:,} decisions, durable", f"{imported / took_s:,.0f}", "", ""),
            ("LookupProfile, one after another", *_figures(lookups)),
            ("ResolveRecord, durable, one after another", *_figures(resolved)),
        ]
    )
    report.expect(bool(checks and many and writes and lookups and resolved), "every call was answered")
    report.expect(imported == _ROWS, "every row was imported")


async def _repeat(call: Callable[[], Awaitable[object]], *, at_a_time: int) -> list[float]:
    """Call for a while and return how long each call took, in seconds."""
    took: list[float] = []
    end = time.perf_counter() + _SECONDS

    async def worker() -> None:
        while (began := time.perf_counter()) < end:
            await call()
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(worker() for _ in range(at_a_time)))
    return took


async def _identity(cast: Cast) -> tuple[list[float], list[float]]:
    """Look somebody up, and take in new people, each for a while."""
    somebody = _stranger()
    look_up = identity_pb2.LookupProfileRequest(identifier=somebody.email())
    lookups = await _repeat(lambda: cast.measured.LookupProfile(look_up), at_a_time=1)

    def resolve() -> Awaitable[object]:
        person = _stranger()
        record = person.record("crm", person.email(), name=True, birth=True)
        return cast.measured.ResolveRecord(identity_pb2.ResolveRecordRequest(request_id=request_id(), record=record))

    return lookups, await _repeat(resolve, at_a_time=1)


def _stranger() -> Somebody:
    return Somebody("Ada", date(1940, 1, 1) + timedelta(days=secrets.randbelow(25_000)))


async def _import(cast: Cast) -> tuple[int, float]:
    """Import decisions of the past; return how many were written, and the seconds it took."""
    exported = datetime.now(UTC) - timedelta(days=1)
    evidence = consent_pb2.ImportedEvidence(
        source="old-crm", exported_at=stamp(exported), file_sha256=hashlib.sha256(b"export").digest()
    )

    async def messages() -> AsyncIterator[consent_pb2.RecordConsentsRequest]:
        yield consent_pb2.RecordConsentsRequest(header=consent_pb2.ImportHeader(evidence=evidence))
        for first in range(0, _ROWS, _ROWS_PER_BATCH):
            rows = [_row(number, exported) for number in range(first, first + _ROWS_PER_BATCH)]
            yield consent_pb2.RecordConsentsRequest(batch=consent_pb2.ImportBatch(rows=rows))

    began = time.perf_counter()
    written = 0
    async for answer in cast.untraced.RecordConsents(messages()):
        written += sum(result.status.code == 0 for result in answer.results)
    return written, time.perf_counter() - began


def _row(number: int, exported: datetime) -> consent_pb2.ImportRow:
    return consent_pb2.ImportRow(
        external_id=str(number),
        profile_id=person(),
        purpose_id=ANALYTICS,
        status=ledger_pb2.CONSENT_STATUS_GRANTED,
        occurred_at=stamp(exported - timedelta(minutes=number)),
    )


def _figures(took: list[float]) -> tuple[str, str, str]:
    if not took:
        return ("0", "", "")
    ordered = sorted(took)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    return (f"{len(took) / _SECONDS:,.0f}", f"{p50 * 1000:.1f} ms", f"{p99 * 1000:.1f} ms")
