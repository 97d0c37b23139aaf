"""The scenes about recognising: one customer from every channel, and why that is one person and not two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from rapport.identity.v1 import explanation_pb2, identity_pb2, ingest_pb2, profile_pb2, record_pb2
from rapport_chassis.rpc.status import RemoteError

from rapport_local.demo.asking import request_id, until
from rapport_local.demo.channels import Somebody, kinds, kinds_of, order, visit
from rapport_local.demo.report import Report
from rapport_local.demo.shop import Cast
from rapport_local.demo.trees import profile_lines, short

_SUMS_WITHIN: Final = 1e-9
_WEIGHTS_SHOWN: Final = 8
_NOT_YET: Final = frozenset({"COLLECTING_REFUSED", "NOT_READY"})


@dataclass(frozen=True)
class Customer:
    """The customer of the story.

    Attributes:
        person: Who they are.
        profile_id: The id that they are recognised by.
        records: What sources hold of them.
    """

    person: Somebody
    profile_id: str
    records: tuple[record_pb2.Record, ...]


async def take(cast: Cast, raw: ingest_pb2.RawTouchpoint) -> ingest_pb2.IngestedTouchpoint:
    """Send a touchpoint."""
    return await cast.touchpoints.IngestTouchpoint(
        ingest_pb2.IngestTouchpointRequest(request_id=request_id(), touchpoint=raw)
    )


async def resolve(cast: Cast, record: record_pb2.Record) -> identity_pb2.ResolvedRecord:
    """Send a record."""
    return await cast.identity.ResolveRecord(identity_pb2.ResolveRecordRequest(request_id=request_id(), record=record))


def outcome(done: ingest_pb2.IngestedTouchpoint | identity_pb2.ResolvedRecord) -> str:
    """Return what became of a touchpoint or record in a few words."""
    if isinstance(done, identity_pb2.ResolvedRecord):
        name = identity_pb2.RecordOutcome.Name(done.outcome).removeprefix("RECORD_OUTCOME_")
    else:
        name = ingest_pb2.TouchpointOutcome.Name(done.outcome).removeprefix("TOUCHPOINT_OUTCOME_")
    return name.removeprefix("RECORDED_").lower().replace("_", " ")


async def channels(report: Report, cast: Cast) -> Customer:
    """Somebody comes by the web, a marketplace, a shop and the telephone, each time as others know them."""
    mara = Somebody("Mara", date(1987, 3, 14))
    report.say("Nobody sends a customer number. Of each channel only the kinds of data are shown here.")
    rows = [("channel", "what was sent", "outcome", "profile")]
    records = (
        mara.record("marketplace", mara.email(), name=True, address=True),
        mara.record("store", name=True, birth=True, address=True, phone=True),
        mara.record("support", name=("Marra", mara.surname[:-1]), birth=True, phone=True),
    )
    found = []
    for record, remark in zip(records, ("", "", " (misheard)"), strict=True):
        done = await _once_permitted(cast, record)
        found.append(done.profile_id)
        rows.append((record.key.source, kinds(record.person) + remark, outcome(done), short(done.profile_id)))
    basket = order(mara.email(), mara.cookie())
    bought = await take(cast, basket)
    rows.append(("web order", ", ".join(kinds_of(basket.identifiers)), outcome(bought), short(bought.profile_id)))
    looked = visit(mara.cookie())
    seen = await take(cast, looked)
    rows.append(("web visit", ", ".join(kinds_of(looked.identifiers)), outcome(seen), short(seen.profile_id) or "-"))
    tom = Somebody("Tom", date(2009, 8, 30), surname=mara.surname, house=mara.house, phone=mara.phone)
    childs = tom.record("store", name=True, birth=True, address=True, phone=True)
    child = await resolve(cast, childs)
    rows.append(("store", f"{kinds(childs.person)} (son)", outcome(child), short(child.profile_id)))
    report.rows(rows)

    report.expect(
        {*found, bought.profile_id} == {found[0]}, "four channels, one profile: the records have enough in common"
    )
    report.expect(child.profile_id != found[0], "her son, with the same address and telephone, is another")
    report.expect(await _related(cast, found[0], child.profile_id), "who lives with her: a relation, never a merge")
    report.expect(bought.unlinked and not seen.fact_id, "her browser is not linked, no visit kept: she was not asked")
    return Customer(mara, found[0], records)


async def reasons(report: Report, cast: Cast, customer: Customer) -> None:
    """Why two records match, and how the profile came together."""
    _, store, support = customer.records
    why = await cast.steward.ExplainMatch(explanation_pb2.ExplainMatchRequest(first=store.key, second=support.key))
    report.say("The shop's record and the call centre's, which misheard the name, in bits: log2 of the odds.")
    told = sorted((each for each in why.weights if each.bits), key=lambda each: -abs(each.bits))
    rows = [("comparison", "found", "bits", ""), ("prior", "any two records", f"{why.prior_bits:+.1f}", "")]
    rows += [
        (
            each.comparison.replace("_", " "),
            each.level.replace("_", " "),
            f"{each.bits:+.1f}",
            f"{each.frequency_bits:+.1f} by frequency" if each.frequency_bits else "",
        )
        for each in told[:_WEIGHTS_SHOWN]
    ]
    rows.append(("score", f"joins from {why.join_bits:.1f}", f"{why.score_bits:+.1f}", ""))
    report.rows(rows)
    total = why.prior_bits + sum(each.bits for each in why.weights)
    report.expect(abs(total - why.score_bits) < _SUMS_WITHIN, "the bits of all comparisons sum to the score")
    report.expect(
        why.verdict == explanation_pb2.MATCH_VERDICT_TOGETHER,
        f"one person; that would flip with: {_changes(why.counterfactual)}",
    )
    how = await cast.steward.ExplainProfile(explanation_pb2.ExplainProfileRequest(profile_id=customer.profile_id))
    report.lines("How the profile came together, the last join first, on average over pairs:", profile_lines(how))
    report.expect(len(how.joins) == len(how.leaves) - 1, "the tree holds every record, and can be replayed")


async def _once_permitted(cast: Cast, record: record_pb2.Record) -> identity_pb2.ResolvedRecord:
    """Send a record until identity's gate has learnt of its purpose, as gates do a moment after it was activated."""

    async def sent() -> identity_pb2.ResolvedRecord | None:
        try:
            return await resolve(cast, record)
        except RemoteError as error:
            if error.reason.name not in _NOT_YET:
                raise
            return None

    done = await until(sent, lambda answer: answer is not None)
    assert done is not None
    return done


async def _related(cast: Cast, profile_id: str, other: str) -> bool:
    listed = await cast.identity.ListRelations(profile_pb2.ListRelationsRequest(profile_id=profile_id))
    return other in [each.profile_id for each in listed.relations]


def _changes(counterfactual: explanation_pb2.Counterfactual) -> str:
    return ", ".join(f"{each.comparison} {each.to_level}".replace("_", " ") for each in counterfactual.changes)
