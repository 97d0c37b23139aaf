"""The scenes about what happens between services: a merge over NATS, its trace, and the audit trail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from rapport.consent.v1 import consent_pb2
from rapport.consent.v1 import events_pb2 as consent_events_pb2
from rapport.identity.v1 import record_pb2
from rapport_chassis.audit import AuditTrail
from rapport_chassis.telemetry.names import SpanName
from rapport_chassis.telemetry.span_file import read_spans
from rapport_chassis.telemetry.span_record import SpanRecord
from rapport_chassis.telemetry.tree import render_tree

from rapport_local.databases import database_of
from rapport_local.demo.asking import until
from rapport_local.demo.channels import Somebody, kinds, order
from rapport_local.demo.recognition import Customer, outcome, resolve, take
from rapport_local.demo.report import Report, words
from rapport_local.demo.scenes import EMAIL, NORTH
from rapport_local.demo.shop import ANALYST, BUYER, EDITOR, OFFICER, STEWARD, Cast
from rapport_local.demo.streams import published
from rapport_local.demo.trees import short
from rapport_local.services import SERVICES

MERGE: Final = SpanName("two ids are one person", "What the demo does in its scene about merges.")
_SETTLE_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.05
_PARTS: Final = (
    ("identity", "IdentityService/ResolveRecord"),
    ("identity", "publish RAPPORT_IDENTITY"),
    ("consent", "process "),
    ("consent", "publish RAPPORT_CONSENT"),
)
_SHOWN_OF_TRAIL: Final = 6


@dataclass(frozen=True)
class Merged:
    """What was one more profile before.

    Attributes:
        other: The id that was absorbed.
        app: Key of the record that was its only one.
        fact_id: A touchpoint that came under it.
        trace_id: The trace of the merge.
    """

    other: str
    app: record_pb2.RecordKey
    fact_id: str
    trace_id: str


async def merge(report: Report, cast: Cast, customer: Customer) -> Merged:
    """A record shows that two profiles are one person: what was taken back under one id holds for both."""
    account = Somebody("", date.min).account()
    first = await resolve(cast, customer.person.record("app", account))
    other = first.profile_id
    bought = await take(cast, order(account))
    entry = consent_pb2.CheckEntry(profile_id=other, purpose_id=EMAIL, brand_id=NORTH)
    await cast.record(other, EMAIL, NORTH)
    report.say("An account in the app, nobody in particular: a profile of its own. It buys, and says yes to e-mail.")
    report.decision("app", entry, await cast.check_ledger(entry))
    report.say("Then a clerk completes the account with the customer's details.")
    completed = customer.person.record("app", account, customer.person.email(), name=True, birth=True)
    with cast.telemetry.tracer.span(MERGE) as span:
        linked = await resolve(cast, completed)
        decision, took_s = await cast.until_denied(entry)
        trace_id = f"{span.context.trace_id:032x}"
    absorbs = f"absorbs {', '.join(map(short, linked.absorbed_ids))}"
    report.rows([("app", kinds(completed.person), outcome(linked), short(linked.profile_id), absorbs)])
    report.decision("app", entry, decision)
    report.expect(
        linked.profile_id == customer.profile_id and list(linked.absorbed_ids) == [other],
        "the profile that was known longer keeps its id, the other redirects",
    )
    report.expect(
        words(decision) == ("DENY", "WITHDRAWN"),
        f"what the customer took back holds in the app too, {took_s * 1000:.0f} ms after the answer",
    )
    same = await cast.check_ledger(
        consent_pb2.CheckEntry(profile_id=customer.profile_id, purpose_id=EMAIL, brand_id=NORTH)
    )
    report.expect(
        words(same) == words(decision) and decision.current_profile_id == same.current_profile_id,
        "the gate answers for the absorbed id as for the one that stays",
    )
    told = await until(
        lambda: published(cast, "RAPPORT_CONSENT", consent_events_pb2.ConsentsMerged),
        lambda found: customer.profile_id in [each.change.current_id for each in found],
        every_s=_LOOK_EVERY_S,
    )
    report.expect(bool(told), "consent has told all: consents_merged")
    return Merged(other, completed.key, bought.fact_id, trace_id)


async def trace(report: Report, cast: Cast, trace_id: str) -> None:
    """All of the merge, as one tree."""
    spans: Sequence[SpanRecord] = ()
    try:
        async with asyncio.timeout(_SETTLE_S):
            while not _complete(spans):
                await asyncio.sleep(_LOOK_EVERY_S)
                spans = await asyncio.to_thread(read_spans, [cast.environment.telemetry], trace_id)
    except TimeoutError:
        pass
    drawn = (line.replace("rapport.consent.v1.", "").replace("rapport.identity.v1.", "") for line in render_tree(spans))
    report.lines(f"rapport trace {trace_id}", drawn)
    report.expect(_complete(spans), "a call, two events out, one in: one trace across services")


async def audit(report: Report, cast: Cast) -> None:
    """Who did what is kept in a chain of hashes, one in each service."""
    rows: list[tuple[str, ...]] = [("service", "who", "did", "to")]
    faults = []
    for service in SERVICES:
        trail = AuditTrail()
        async with database_of(cast.environment, service) as connection:
            entries = await trail.read(connection, limit=_SHOWN_OF_TRAIL)
            faults += await trail.verify(connection)
        rows += [
            (service.name, each.content.actor, each.content.action.rsplit("/", maxsplit=1)[-1], each.content.target)
            for each in reversed(entries)
        ]
    report.rows(rows)
    report.expect(
        {(service, who) for service, who, *_ in rows[1:]}
        >= {
            ("consent", OFFICER),
            ("identity", STEWARD),
            ("churn", ANALYST),
            ("pricing", BUYER),
            ("notification", EDITOR),
        },
        "the acts of officer, steward, analyst, buyer and editor are on it",
    )
    report.expect(not faults, "no entry was changed, removed or moved")


def _complete(spans: Sequence[SpanRecord]) -> bool:
    return all(any(name in span.name and span.service == service for span in spans) for service, name in _PARTS)
