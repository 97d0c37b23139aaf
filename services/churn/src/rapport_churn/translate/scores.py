"""Scores as messages of the contract, and back from where they are kept."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import isnan
from typing import Final

from rapport.churn.v1 import churn_pb2, events_pb2, score_pb2
from rapport.common.v1 import freshness_pb2
from rapport_chassis.times import set_stamp
from rapport_privacy.translate import decision_message

from rapport_churn.app.scores import Asked, Kept, Scored
from rapport_churn.domain.features import FeatureSet
from rapport_churn.domain.interventions import suggest
from rapport_churn.domain.value import Value
from rapport_churn.translate.money import money_of

COVERAGE: Final = 0.8
"""Share of customers whose spend lies in the interval, as models are trained."""


class Scores:
    """Makes messages of scores.

    Args:
        currency: The installation's.
    """

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def message(self, scored: Scored) -> score_pb2.Score:
        """Return a score as a message."""
        score, scoring = scored.score, scored.serving.scoring
        said = [each for each in score.reasons.items() if each[1]]
        reasons = sorted(said, key=_strength, reverse=True)
        message = score_pb2.Score(
            decision_id=scored.decision_id,
            profile_id=scored.profile_id,
            model_id=scored.serving.model_id,
            horizon_days=scoring.horizon_days,
            base=score.base,
            log_odds=score.log_odds,
            segment=score.segment,
            tier=score.tier,
            rank=score.rank,
            intervention=suggest(score.reasons),
            held_out=scored.held_out,
            permission=decision_message(scored.permission),
        )
        set_stamp(message.scored_at, scored.at)
        if scored.known_until:
            message.known_until.FromMicroseconds(scored.known_until)
        churn, repurchase = message.churn, message.repurchase
        for days in sorted(score.churn):
            chance = score.churn[days]
            churn.add(days=days, probability=chance)
            repurchase.add(days=days, probability=1 - chance)
        for code, contribution in reasons:
            message.reasons.add(code=code, contribution=contribution)
        if score.value is not None:
            self.put_value(message.value, score.value)
        return message

    def put_value(self, message: events_pb2.ExpectedValue, value: Value) -> None:
        """Make a message say what a customer is expected to be worth."""
        message.days = value.days
        message.coverage = COVERAGE
        for field, amount in ((message.mean, value.mean), (message.low, value.low), (message.high, value.high)):
            field.CopyFrom(money_of(round(amount), self._currency))


def _strength(reason: tuple[str, float]) -> float:
    return abs(reason[1])


def asked_of(request: churn_pb2.ScoreProfileRequest | churn_pb2.GetFeaturesRequest) -> Asked:
    """Return whose score or features are asked for."""
    at_least: freshness_pb2.LedgerPosition | None = None
    if isinstance(request, churn_pb2.ScoreProfileRequest) and request.HasField("at_least"):
        at_least = request.at_least
    return Asked(request.profile_id, request.brand_id, request.market, at_least)


def kept_of(scored: Scored, message: score_pb2.Score) -> Kept:
    """Return a decision as it is kept."""
    return Kept(scored.decision_id, scored.profile_id, scored.at, message.SerializeToString(), packed(scored.vector))


def packed(vector: Sequence[float]) -> bytes:
    """Return a vector as bytes."""
    return struct.pack(f"<{len(vector)}d", *vector)


def features_of(features: FeatureSet, vector: Sequence[float]) -> list[score_pb2.FeatureValue]:
    """Return the features that a vector holds; what is not known has no value."""
    return [
        score_pb2.FeatureValue(name=each.name, reason=each.group.value, value=None if isnan(number) else number)
        for each, number in zip(features, vector, strict=True)
    ]


def explanation_of(kept: Kept, features: FeatureSet, reviews: Sequence[score_pb2.Review]) -> score_pb2.ScoreExplanation:
    """Return what a score was made of."""
    vector = struct.unpack(f"<{len(kept.features) // 8}d", kept.features)
    message = score_pb2.ScoreExplanation(feature_set_sha256=bytes.fromhex(features.digest), reviews=reviews)
    message.score.ParseFromString(kept.body)
    if len(vector) == len(features):  # else it is from before the features were declared otherwise
        message.features.extend(features_of(features, vector))
    return message


def decision_id_in(body: bytes) -> str:
    """Return the decision of a score that is kept."""
    return score_pb2.Score.FromString(body).decision_id
