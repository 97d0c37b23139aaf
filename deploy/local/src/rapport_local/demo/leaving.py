"""The scenes about who is about to leave: learned from two years of a shop, told with reasons, only where allowed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from google.type import money_pb2
from rapport.churn.v1 import churn_pb2, events_pb2, model_pb2, score_pb2
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport.identity.v1 import identity_pb2, ingest_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp

from rapport_local.demo.buyers import Buyer, buyers
from rapport_local.demo.channels import visit
from rapport_local.demo.recognition import take
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import ANALYTICS, EMAIL, NORTH, PERSONAL_PRICES, PROFILING
from rapport_local.demo.shop import Cast, grant, request_id, until
from rapport_local.demo.trees import short

_BUYERS: Final = 240
_SEED: Final = 11
_BATCH: Final = 250
_SUMS_WITHIN: Final = 1e-6
_TIMEOUT_S: Final = 120.0
_KNOWN_S: Final = 120.0


async def history(report: Report, cast: Cast) -> None:
    """Two years of a shop come in: its file of customers, their decisions, what they bought and what went wrong."""
    now = datetime.now(UTC)
    people = buyers(_BUYERS, uuid4().hex[:8], now, _SEED)
    ids = await _recognised(cast, people)
    await _decided(cast, ids, now)
    sent = [touchpoint for buyer in people for touchpoint in buyer.touchpoints()]
    await until(  # identity's gate has learnt of it; a visit that is refused leaves nothing
        lambda: take(cast, visit(people[-1].account)),
        lambda done: done.outcome == ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED,
    )
    began = time.perf_counter()
    await _sent(cast, sent)
    took_s = time.perf_counter() - began
    await _known(cast, people, ids)
    known_s = time.perf_counter() - began
    report.rows(
        [
            ("customers", "touchpoints", "a second, durable", "known to churn after"),
            (f"{len(people):,}", f"{len(sent):,}", f"{len(sent) / took_s:,.0f}", f"{known_s:.1f} s"),
        ]
    )
    report.expect(len(set(ids)) == len(people), "each customer is a profile of their own")


async def learned(report: Report, cast: Cast) -> None:
    """A model is trained on what was known at each time, held against simpler ones, and put to work by a person."""
    asked = model_pb2.TrainModelRequest(request_id=request_id(), seed=_SEED)
    asked.arrival_assumed_before.CopyFrom(stamp(datetime.now(UTC)))  # it was all loaded from history
    began = time.perf_counter()
    operation = await cast.models.TrainModel(asked)
    while not operation.done:
        operation = await cast.operations.WaitOperation(
            operations_pb2.WaitOperationRequest(name=operation.name, timeout=Duration(seconds=5))
        )
    took_s = time.perf_counter() - began
    report.expect(not operation.HasField("error"), f"a model was trained in {took_s:.0f} s, in a process of its own")
    model = model_pb2.Model()
    operation.response.Unpack(model)
    report.rows(
        [
            ("looks ahead", "at who bought within", "learnt from", "until"),
            (
                f"{model.horizon_days} days",
                f"{model.population.bought_within_days} days",
                f"{model.trained_rows:,} looks back",
                f"{model.trained_until.ToDatetime(UTC):%Y-%m-%d}",
            ),
        ]
    )
    report.rows([("figure", "value", "held against"), *(_metric(each) for each in model.metrics[:6])])
    promoted = await cast.analyst.PromoteModel(
        model_pb2.PromoteModelRequest(
            request_id=request_id(),
            model_id=model.model_id,
            role=events_pb2.MODEL_ROLE_CHAMPION,
            despite_gates=True,
            reason="first model",
        )
    )
    report.expect(promoted.role == events_pb2.MODEL_ROLE_CHAMPION, "an analyst lets it serve, and the log says who did")


async def scores(report: Report, cast: Cast) -> None:
    """Who is about to leave, why, and what they are worth."""
    ranked = await until(lambda: _ranked(cast), lambda found: len(found) >= _BUYERS // 4)
    report.say("Most to lose first: the chance of buying nothing times what the customer is worth.")
    report.rows(
        [
            ("profile", "churn", "expected value", "segment", "tier", "strongest reason"),
            *(
                (
                    short(each.profile_id),
                    f"{each.churn.probability:.0%}",
                    _amount(each.value.mean) if each.HasField("value") else "-",
                    each.segment,
                    each.tier,
                    each.reason.replace("_", " "),
                )
                for each in ranked[:5]
            ),
        ]
    )
    first = await _score(cast, ranked[0].profile_id)
    report.say(
        f"Why the first: log-odds of the average customer, and what each group of reasons adds ({first.model_id})."
    )
    told = [each for each in first.reasons if abs(each.contribution) > 0.005]
    report.rows(
        [
            ("average customer", f"{first.base:+.2f}"),
            *((each.code.replace("_", " "), f"{each.contribution:+.2f}") for each in told[:7]),
            ("this customer", f"{first.log_odds:+.2f}"),
        ]
    )
    total = first.base + sum(each.contribution for each in first.reasons)
    report.expect(abs(total - first.log_odds) < _SUMS_WITHIN, "the reasons sum exactly to the score")
    falling = [each.probability for each in first.churn]
    report.expect(falling == sorted(falling, reverse=True), f"over {_days(first)} days the chances never cross")
    report.expect(bool(first.intervention), f"suggested: {first.intervention.replace('_', ' ')}")


async def refused(report: Report, cast: Cast) -> None:
    """Somebody does not want to be profiled: no score from then on, and what was said of them is taken back."""
    ranked = await _ranked(cast)
    person = ranked[0].profile_id
    write = await cast.shop.RecordConsent(grant(person, PROFILING, choice=consent_pb2.CONSENT_CHOICE_REFUSE))
    request = churn_pb2.ScoreProfileRequest(profile_id=person, at_least=write.token)
    began = time.perf_counter()
    reason = ""
    while reason in ("", "PERMISSION_UNKNOWN"):
        try:
            await cast.churn.ScoreProfile(request)
        except RemoteError as error:
            reason = error.reason.name
    took_ms = (time.perf_counter() - began) * 1e3
    report.expect(reason == "PROFILING_DENIED", f"refused {took_ms:.0f} ms after the customer said no: {reason}")
    gone = await until(
        lambda: _ranked(cast), lambda found: person not in [each.profile_id for each in found], within_s=10.0
    )
    report.expect(bool(gone), "the customer is in no list any more, and the facts are gone from the log")


async def _recognised(cast: Cast, people: Sequence[Buyer]) -> list[str]:
    async def batches() -> AsyncIterator[identity_pb2.ResolveRecordsRequest]:
        yield identity_pb2.ResolveRecordsRequest(batch=0, records=[each.record() for each in people])

    answers = [each async for each in cast.measured.ResolveRecords(batches(), timeout=_TIMEOUT_S)]
    return [result.resolved.profile_id for answer in answers for result in answer.results]


async def _decided(cast: Cast, ids: Sequence[str], now: datetime) -> None:
    """Import what they decided when they signed up."""
    evidence = consent_pb2.ImportedEvidence(
        source="old-crm", exported_at=stamp(now), file_sha256=hashlib.sha256(b"sign-ups").digest()
    )
    rows = [
        consent_pb2.ImportRow(
            external_id=f"{profile_id}-{purpose_id}",
            profile_id=profile_id,
            purpose_id=purpose_id,
            brand_id=NORTH if purpose_id == EMAIL else "",
            status=ledger_pb2.CONSENT_STATUS_GRANTED,
            occurred_at=stamp(now),
        )
        for profile_id in ids
        for purpose_id in (ANALYTICS, PROFILING, PERSONAL_PRICES, EMAIL)
    ]

    async def messages() -> AsyncIterator[consent_pb2.RecordConsentsRequest]:
        yield consent_pb2.RecordConsentsRequest(header=consent_pb2.ImportHeader(evidence=evidence))
        for first in range(0, len(rows), _BATCH):
            yield consent_pb2.RecordConsentsRequest(batch=consent_pb2.ImportBatch(rows=rows[first : first + _BATCH]))

    async for _ in cast.untraced.RecordConsents(messages()):
        pass


async def _sent(cast: Cast, touchpoints: Sequence[ingest_pb2.RawTouchpoint]) -> None:
    async def batches() -> AsyncIterator[ingest_pb2.IngestTouchpointsRequest]:
        for first in range(0, len(touchpoints), _BATCH):
            yield ingest_pb2.IngestTouchpointsRequest(batch=first, touchpoints=touchpoints[first : first + _BATCH])

    async for _ in cast.touchpoints.IngestTouchpoints(batches(), timeout=_TIMEOUT_S):
        pass


async def _known(cast: Cast, people: Sequence[Buyer], ids: Sequence[str]) -> None:
    """Wait until everything has come to churn."""

    async def missing() -> int:
        some = zip(people[::20], ids[::20], strict=True)
        return sum([len(buyer.events) - await _events_of(cast, profile_id) for buyer, profile_id in some])

    await until(missing, lambda count: count == 0, within_s=_KNOWN_S)


async def _events_of(cast: Cast, profile_id: str) -> int:
    try:
        return (await cast.churn.GetFeatures(churn_pb2.GetFeaturesRequest(profile_id=profile_id))).events
    except RemoteError as error:
        if error.reason.name != "NOTHING_KNOWN":
            raise
        return 0


async def _ranked(cast: Cast) -> list[churn_pb2.RankedProfile]:
    asked = churn_pb2.RankProfilesRequest(page_size=100, order=churn_pb2.RANK_ORDER_VALUE_AT_RISK)
    return list((await cast.churn.RankProfiles(asked)).profiles)


async def _score(cast: Cast, profile_id: str) -> score_pb2.Score:
    return await cast.churn.ScoreProfile(churn_pb2.ScoreProfileRequest(profile_id=profile_id))


def _metric(metric: model_pb2.Metric) -> tuple[str, str, str]:
    held = f"{metric.reference:.3f}" if metric.HasField("reference") else ""
    return metric.name.replace("_", " "), f"{metric.value:.3f}", held


def _amount(money: money_pb2.Money) -> str:
    return f"{money.units:,}.{money.nanos // 10_000_000:02} {money.currency_code}"


def _days(score: score_pb2.Score) -> str:
    return ", ".join(str(each.days) for each in score.churn)
