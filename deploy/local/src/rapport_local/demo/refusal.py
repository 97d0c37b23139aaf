"""The scene about a person who refuses analytics: what is needed to serve them is kept, and nothing beside it."""

from __future__ import annotations

from datetime import date

from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import events_pb2, ingest_pb2, touchpoint_pb2

from rapport_local.demo.asking import grant, until
from rapport_local.demo.channels import Somebody, order, visit
from rapport_local.demo.recognition import outcome, take
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import ANALYTICS, DELIVERY
from rapport_local.demo.shop import Cast
from rapport_local.demo.streams import published

RECORDED = ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED


async def analytics(report: Report, cast: Cast) -> None:
    """One person says no, another yes; both visit and buy, before and after they are recognised."""
    report.say("Two people visit, buy, decide about analytics, and visit and buy again. Identity asks its own gate.")
    rows: list[tuple[str, ...]] = [("", "visit", "order", "decision", "visit", "order")]
    nina, yusuf = Somebody("Nina", date(1979, 1, 5)), Somebody("Yusuf", date(1992, 6, 21))
    refuser, row = await _story(cast, nina, consent_pb2.CONSENT_CHOICE_REFUSE)
    rows.append(("one", *row))
    granter, row = await _story(cast, yusuf, consent_pb2.CONSENT_CHOICE_GRANT)
    rows.append(("the other", *row))
    report.rows(rows)
    kept = await until(lambda: _kept(cast, refuser), lambda found: len(found) == 2)
    report.expect(
        all(
            each.WhichOneof("type") == "order_placed" and list(each.purpose_ids) == [DELIVERY] and not each.session_id
            for each in kept
        ),
        "who says no leaves two orders, for delivery alone, and no visit",
    )
    more = await until(lambda: _kept(cast, granter), lambda found: len(found) == 3)
    report.expect(
        [each.WhichOneof("type") for each in more] == ["order_placed", "viewed", "order_placed"]
        and ANALYTICS in more[-1].purpose_ids,
        "who says yes leaves visits too, from then on",
    )


async def _story(
    cast: Cast, person: Somebody, choice: consent_pb2.ConsentChoice.ValueType
) -> tuple[str, tuple[str, ...]]:
    """Visit, buy, decide, visit and buy; return who that is, and what became of each step."""
    saw = await take(cast, visit(person.cookie()))
    bought = await take(cast, order(person.account(), person.cookie()))
    await cast.shop.RecordConsent(grant(bought.profile_id, ANALYTICS, choice=choice))
    granted = choice == consent_pb2.CONSENT_CHOICE_GRANT

    def known(done: ingest_pb2.IngestedTouchpoint) -> bool:
        said = [each.decision.reason for each in done.refused_purposes]
        return done.outcome == RECORDED if granted else said == [consent_pb2.DECISION_REASON_REFUSED]

    later = await until(lambda: take(cast, visit(person.account())), known)
    more = await take(cast, order(person.account()))
    said = "yes" if granted else "no"
    return bought.profile_id, (outcome(saw), outcome(bought), said, outcome(later), outcome(more))


async def _kept(cast: Cast, profile_id: str) -> list[touchpoint_pb2.Touchpoint]:
    found = await published(cast, "RAPPORT_IDENTITY", events_pb2.TouchpointRecorded)
    return [each.touchpoint for each in found if each.fact.profile_id == profile_id]
