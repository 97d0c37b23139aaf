"""The scenes about what happens between services: a merge over NATS, its trace, and the audit trail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import events_pb2
from rapport_chassis.audit import AuditTrail
from rapport_chassis.events.envelope import event_of
from rapport_chassis.telemetry.names import SpanName
from rapport_chassis.telemetry.propagation import traceparent
from rapport_chassis.telemetry.span_file import read_spans
from rapport_chassis.telemetry.span_record import SpanRecord
from rapport_chassis.telemetry.tree import render_tree

from rapport_local.databases import database_of
from rapport_local.demo.report import Report, words
from rapport_local.demo.scenes import EMAIL, NORTH
from rapport_local.demo.shop import IDENTITY, OFFICER, Cast, timestamp
from rapport_local.services import service_named

MERGE: Final = SpanName("two ids are one person", "What the demo does in its scene about merges.")
ANNOUNCEMENT: Final = SpanName("publish profiles_merged", "Identity's part, played by the demo.")
_SETTLE_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.05


async def merge(report: Report, cast: Cast, customer: str, other: str) -> str:
    """Identity says over NATS that two ids are one person: what was taken back under one id holds for both.

    Returns:
        The trace of all of it.
    """
    entry = consent_pb2.CheckEntry(profile_id=other, purpose_id=EMAIL, brand_id=NORTH)
    with cast.telemetry.tracer.span(MERGE) as span:
        await cast.record(other, EMAIL, NORTH)
        report.decision("other id", entry, await cast.check_ledger(entry))
        await _announce(cast, survivor=customer, absorbed=other)
        decision, took_s = await cast.until_denied(entry)
        trace_id = f"{span.context.trace_id:032x}"
    report.decision("other id", entry, decision)
    report.say("The other id is from another device. Consent follows identity's event and tells all others in its own.")
    report.expect(
        words(decision) == ("DENY", "WITHDRAWN"),
        f"what the customer took back holds there too, {took_s * 1000:.0f} ms later",
    )
    report.expect(decision.current_profile_id == customer, "and both ids now answer as one person")
    return trace_id


async def trace(report: Report, cast: Cast, trace_id: str) -> None:
    """All of the merge, as one tree."""
    cast_of_spans = ("ConsentService/RecordConsent", "process ", "publish ")
    spans: Sequence[SpanRecord] = ()
    try:
        async with asyncio.timeout(_SETTLE_S):
            while not _complete(spans, cast_of_spans):
                await asyncio.sleep(_LOOK_EVERY_S)
                spans = await asyncio.to_thread(read_spans, [cast.environment.telemetry], trace_id)
    except TimeoutError:
        pass
    for line in render_tree(spans):
        report.line(line.replace("rapport.consent.v1.", ""))
    report.expect(_complete(spans, cast_of_spans), "call, event out, event in: one trace across gRPC and NATS")


async def audit(report: Report, cast: Cast) -> None:
    """Who did what is kept in a chain of hashes."""
    service = service_named("consent")
    assert service is not None
    trail = AuditTrail()
    async with database_of(cast.environment, service) as connection:
        entries = await trail.read(connection, limit=10)
        faults = await trail.verify(connection)
    report.rows(
        [
            (entry.content.actor, entry.content.action.rsplit("/", maxsplit=1)[-1], entry.content.target)
            for entry in reversed(entries)
        ]
    )
    report.expect(
        bool(entries) and all(entry.content.actor == OFFICER for entry in entries), "the officer's acts are on it"
    )
    report.expect(not faults, "no entry was changed, removed or moved")


async def _announce(cast: Cast, *, survivor: str, absorbed: str) -> None:
    """Publish what identity would: the survivor keeps its id, the other one redirects to it."""
    now = timestamp(datetime.now(UTC))
    message = events_pb2.ProfilesMerged(
        survivor_id=survivor,
        profiles=[
            events_pb2.ResultingProfile(
                profile_id=survivor, version=2, redirect_ids=[absorbed], state=events_pb2.ProfileState(record_count=2)
            )
        ],
        cause=events_pb2.RESOLUTION_CAUSE_MATCHER,
        occurred_at=now,
        recorded_at=now,
    )
    event = event_of(message, source=IDENTITY, occurred_at=datetime.now(UTC))
    with cast.telemetry.tracer.span(ANNOUNCEMENT) as span:
        headers = event.headers(traceparent(span.context))
        await cast.identity.jetstream.publish(event.subject, event.payload(), headers)


def _complete(spans: Sequence[SpanRecord], wanted: Sequence[str]) -> bool:
    return all(any(name in span.name and span.service == "consent" for span in spans) for name in wanted)
