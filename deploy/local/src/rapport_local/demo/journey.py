"""The scene about one customer's journey: from a call for help to a mail, through five services, event by event."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from google.protobuf.message import Message
from rapport.churn.v1 import churn_pb2
from rapport.churn.v1 import events_pb2 as churn_events_pb2
from rapport.notification.v1 import events_pb2 as notification_events_pb2
from rapport.pricing.v1 import events_pb2 as pricing_events_pb2
from rapport_chassis.telemetry.names import SpanName
from rapport_chassis.telemetry.span_file import read_spans
from rapport_chassis.telemetry.span_record import SpanRecord
from rapport_notification.telemetry import HAND_OVER

from rapport_local.demo.arriving import Known
from rapport_local.demo.asking import until
from rapport_local.demo.lives import Event, touchpoint
from rapport_local.demo.recognition import take
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import ANALYTICS, EMAIL, PERSONAL_PRICES, PROFILING
from rapport_local.demo.shop import Cast
from rapport_local.demo.streams import ends, published_since
from rapport_local.demo.town import Customer
from rapport_local.demo.trees import short
from rapport_local.reports.plots import Lane

JOURNEY: Final = SpanName("a customer calls for help", "What the demo does in its scene about one journey.")
_STREAMS: Final = ("RAPPORT_CHURN", "RAPPORT_PRICING", "RAPPORT_NOTIFICATION")
_MESSAGE_ID: Final = "messaging.message.id"
_LOOK_EVERY_S: Final = 0.1
_OFFERED_S: Final = 2.5
_MAILED_S: Final = 60.0
_TRIED: Final = 12
_NEAR: Final = 0.2
"""From this chance on a call for help may be what makes a customer one at risk."""


async def journey(report: Report, cast: Cast, known: Known) -> None:
    """Somebody who was not at risk calls for help; what follows is told by the events and their traces."""
    report.say("Somebody who is not at risk gives something back and calls for help. Nobody does anything else.")
    began = await ends(cast, *_STREAMS)
    called: dict[str, str] = {}
    who = ""
    candidates = (await _candidates(cast, known))[:_TRIED]
    for candidate, customer in candidates:
        with cast.telemetry.tracer.span(JOURNEY) as span:
            called[candidate] = f"{span.context.trace_id:032x}"
            await _in_trouble(cast, customer)
        if who := await _offered(cast, began, set(called)):
            break
    if not who:
        report.say(f"None of {len(candidates)} who called became one at risk: this town is small.")
        report.expect(len(candidates) < _TRIED, "of many who call for help somebody is made an offer")
        return
    steps = await _followed(cast, began, who)
    lanes = await asyncio.to_thread(_lanes, cast, called[who], steps)
    report.timeline(f"{short(who)}, from the call for help to the mail:", lanes)
    names = [name for name, *_ in steps]
    mailed_ms = lanes[-1].end_ms if lanes else 0.0
    report.expect(
        names == ["risk_raised", "offer_created", "notification_sent"],
        f"touched, scored, at risk, offered, mailed: {mailed_ms / 1000:.1f} s, and nobody asked",
    )
    report.figure("from touchpoint to mail", f"{mailed_ms / 1000:.1f} s", "one customer through five services")


async def _candidates(cast: Cast, known: Known) -> list[tuple[str, Customer]]:
    """Return who may become one at risk, and whom a mail would reach; first who never had trouble."""
    told = known.by_profile()
    ranked = await cast.churn.RankProfiles(
        churn_pb2.RankProfilesRequest(page_size=500, order=churn_pb2.RANK_ORDER_CHURN)
    )
    near = [each for each in ranked.profiles if not each.risk and not each.held_out and each.churn.probability >= _NEAR]
    reached = [
        (each.profile_id, told[each.profile_id])
        for each in near
        if each.profile_id in told
        and told[each.profile_id].wants_offers
        and told[each.profile_id].allows(ANALYTICS, PROFILING, PERSONAL_PRICES, EMAIL)
    ]
    return sorted(reached, key=lambda each: any(event.kind == "case" for event in each[1].events))


async def _in_trouble(cast: Cast, customer: Customer) -> None:
    now, order = datetime.now(UTC), customer.events[-1]
    for at, kind in enumerate(("return", "case", "return", "case")):
        event = Event(kind, now, order.cents)
        await take(cast, touchpoint(event, f"{customer.person.account}-now-{at}", customer.account))


async def _offered(cast: Cast, began: dict[str, int], people: set[str]) -> str:
    """Return who of these was made an offer, and not held out by chance; empty if nobody is for a while."""

    async def looked() -> str:
        told = published_since(cast, "RAPPORT_PRICING", pricing_events_pb2.OfferCreated, began["RAPPORT_PRICING"])
        made = [each.offer async for _, each in told]
        treated = [each.profile_id for each in made if each.treatment == pricing_events_pb2.TREATMENT_TREATED]
        return next((who for who in treated if who in people), "")

    try:
        return await until(looked, bool, within_s=_OFFERED_S, every_s=_LOOK_EVERY_S)
    except TimeoutError:
        return ""


async def _followed(cast: Cast, began: dict[str, int], who: str) -> list[tuple[str, str, str, datetime]]:
    """Return the events that followed, each with its stream, id and time."""
    steps = []
    for name, stream, event in (
        ("risk_raised", "RAPPORT_CHURN", churn_events_pb2.RiskRaised),
        ("offer_created", "RAPPORT_PRICING", pricing_events_pb2.OfferCreated),
        ("notification_sent", "RAPPORT_NOTIFICATION", notification_events_pb2.NotificationSent),
    ):
        found = await _event(cast, began, stream, event, who, _MAILED_S)
        if found is not None:
            steps.append((name, stream, *found))
    return steps


async def _event(
    cast: Cast, began: dict[str, int], stream: str, event: type[Message], who: str, within_s: float
) -> tuple[str, datetime] | None:
    """Return id and time of the first event of a kind about somebody; None if it takes too long."""

    async def looked() -> tuple[str, datetime] | None:
        async for message, told in published_since(cast, stream, event, began[stream]):
            if who in str(told):
                return message.headers["ce-id"], datetime.fromisoformat(message.headers["ce-time"])
        return None

    try:
        return await until(looked, lambda found: found is not None, within_s=within_s, every_s=_LOOK_EVERY_S)
    except TimeoutError:
        return None


def _lanes(cast: Cast, trace_id: str, steps: Sequence[tuple[str, str, str, datetime]]) -> list[Lane]:
    """Return the spans of the touchpoint, and below each event the spans of those who handled it."""
    spans = read_spans([cast.environment.telemetry], "")
    first = [each for each in spans if each.trace_id == trace_id]
    zero = min(each.start_ns for each in first)
    sent = {each.span_id for each in first}
    lanes = [_lane(each, zero, int(bool(each.parent_id))) for each in first]
    heard = [each for each in spans if any(span_id in sent for _, span_id in each.links) and each.service == "churn"]
    lanes += [_lane(each, zero, 2) for each in heard]
    for depth, (name, stream, event_id, at) in enumerate(steps, 1):
        told_ms = at.timestamp() * 1000 - zero / 1e6
        lanes.append(Lane(stream.removeprefix("RAPPORT_").lower(), f"{name}, published", told_ms, told_ms, depth))
        handled = [each for each in spans if each.attributes.get(_MESSAGE_ID) == event_id]
        lanes += [_lane(each, zero, depth + 1) for each in handled]
        lanes += [_lane(each, zero, depth + 2) for each in _handed_over(spans, handled)]
    return sorted(lanes, key=lambda each: each.begin_ms)


def _handed_over(spans: Sequence[SpanRecord], handled: Sequence[SpanRecord]) -> Iterator[SpanRecord]:
    """Return what became of messages that were taken on there."""
    taken_on = {each.span_id for each in handled}
    return (each for each in spans if each.name == HAND_OVER.name and taken_on.intersection(i for _, i in each.links))


def _lane(span: SpanRecord, zero_ns: int, depth: int) -> Lane:
    what = span.name.rpartition("/")[2].replace("process RAPPORT_", "hears ").replace("publish RAPPORT_", "publishes ")
    begin_ms = (span.start_ns - zero_ns) / 1e6
    return Lane(span.service, what, begin_ms, begin_ms + span.duration_ms, depth)
