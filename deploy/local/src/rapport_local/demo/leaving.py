"""The scenes about who is about to leave: learned from two years of a shop, told with reasons, only where allowed."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from google.type import money_pb2
from rapport.churn.v1 import churn_pb2, events_pb2, model_pb2, score_pb2
from rapport.consent.v1 import consent_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp

from rapport_local.demo.arriving import Known
from rapport_local.demo.asking import grant, request_id, until
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import ANALYTICS, PROFILING
from rapport_local.demo.shop import Cast
from rapport_local.demo.story import Share
from rapport_local.demo.trees import short

_SEED: Final = 11
_SUMS_WITHIN: Final = 1e-6
_SHOWN_FROM: Final = 0.005
_PAGE: Final = 500
_TIMEOUT_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.3
_SAME_LOOKS: Final = 8
_SURELY_RANKED: Final = 0.75
"""Of those who bought lately; a few of them share a profile with somebody else, or are scattered over two."""


async def learned(report: Report, cast: Cast) -> int:
    """A model is trained, held against simpler ones, and put to work by a person; return its `bought_within_days`."""
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
    if model.metrics:
        report.rows([("figure", "value", "held against"), *(_metric(each) for each in model.metrics[:6])])
    else:
        report.say("How good it is shows in times that it has not learnt from; here there are none yet.")
    promoted = await cast.analyst.PromoteModel(
        model_pb2.PromoteModelRequest(
            request_id=request_id(),
            model_id=model.model_id,
            role=events_pb2.MODEL_ROLE_CHAMPION,
            despite_gates=True,
            reason="first model",
        )
    )
    for each in model.metrics:
        if each.name == "auc":
            report.figure("quality of the model (AUC)", f"{each.value:.2f}", "on times not seen; luck would be 0.5")
    report.expect(promoted.role == events_pb2.MODEL_ROLE_CHAMPION, "an analyst lets it serve, and the log says who did")
    return model.population.bought_within_days


async def scores(report: Report, cast: Cast, known: Known, within_days: int) -> list[churn_pb2.RankedProfile]:
    """Who is about to leave, why, and what they are worth; return those at risk, the greatest first.

    Args:
        report: Is told.
        cast: Asks.
        known: The town.
        within_days: Who bought within as many is scored.
    """
    told = known.by_profile()
    since = datetime.now(UTC) - timedelta(days=within_days)
    expected = [each for each in told.values() if each.allows(PROFILING, ANALYTICS) and each.bought_since(since)]
    ranked = await _scored(cast, least=round(len(expected) * _SURELY_RANKED))
    at_risk = sorted((each for each in ranked if each.risk), key=lambda each: -each.churn.probability)
    report.say("Most to lose first: the chance of buying nothing times what the customer is worth.")
    report.rows(
        [
            ("profile", "churn", "expected value", "segment", "tier", "strongest reason"),
            *(
                (
                    short(each.profile_id),
                    f"{each.churn.probability:.0%}",
                    _amount(each.value.mean) if each.HasField("value") else "-",
                    _words(each.segment),
                    _words(each.tier),
                    _words(each.reason),
                )
                for each in ranked[:5]
            ),
        ]
    )
    first = await _score(cast, ranked[0].profile_id)
    reasons = [each for each in first.reasons if abs(each.contribution) > _SHOWN_FROM]
    report.chart(
        f"Why the first, in log-odds: {first.base:+.2f} for the average customer, {first.log_odds:+.2f} in all",
        [Share(_words(each.code), each.contribution, f"{each.contribution:+.2f}") for each in reasons[:7]],
    )
    total = first.base + sum(each.contribution for each in first.reasons)
    report.expect(abs(total - first.log_odds) < _SUMS_WITHIN, "the reasons sum exactly to the score")
    falling = [each.probability for each in first.churn]
    report.expect(falling == sorted(falling, reverse=True), f"over {_days(first)} days the chances never cross")
    report.expect(bool(first.intervention), f"suggested: {_words(first.intervention)}")
    unasked = [each for each in ranked if each.profile_id in told and not told[each.profile_id].allows(PROFILING)]
    report.expect(not unasked, "who did not say yes to being profiled is in no list")
    report.figure("customers at risk", f"{len(at_risk)}", f"of {len(ranked)} who let us tell")
    return at_risk


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


async def _scored(cast: Cast, least: int) -> list[churn_pb2.RankedProfile]:
    """Return all that are ranked, once that is `least` and none is added for a while."""
    counts: list[int] = []

    async def looked() -> list[churn_pb2.RankedProfile]:
        found = await _ranked(cast)
        counts.append(len(found))
        return found

    return await until(
        looked,
        lambda found: len(found) >= least and counts[-_SAME_LOOKS:] == [len(found)] * _SAME_LOOKS,
        within_s=_TIMEOUT_S,
        every_s=_LOOK_EVERY_S,
    )


async def _ranked(cast: Cast) -> list[churn_pb2.RankedProfile]:
    asked = churn_pb2.RankProfilesRequest(page_size=_PAGE, order=churn_pb2.RANK_ORDER_VALUE_AT_RISK)
    return list((await cast.churn.RankProfiles(asked)).profiles)


async def _score(cast: Cast, profile_id: str) -> score_pb2.Score:
    return await cast.churn.ScoreProfile(churn_pb2.ScoreProfileRequest(profile_id=profile_id))


def _metric(metric: model_pb2.Metric) -> tuple[str, str, str]:
    held = f"{metric.reference:.3f}" if metric.HasField("reference") else ""
    return metric.name.replace("_", " "), f"{metric.value:.3f}", held


def _amount(money: money_pb2.Money) -> str:
    return f"{money.units:,}.{money.nanos // 10_000_000:02} {money.currency_code}"


def _words(code: str) -> str:
    return code.replace("_", " ")


def _days(score: score_pb2.Score) -> str:
    return ", ".join(str(each.days) for each in score.churn)
