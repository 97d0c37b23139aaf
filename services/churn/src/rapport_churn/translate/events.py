"""What is told of customers and models, as events of the contract."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport.churn.v1 import events_pb2, score_pb2
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.times import set_stamp

SOURCE: Final = "churn"
"""Whose events they are."""

RECOVERED: Final = events_pb2.RISK_CLEARANCE_RECOVERED
CHURNED: Final = events_pb2.RISK_CLEARANCE_CHURNED
NOT_PERMITTED: Final = events_pb2.RISK_CLEARANCE_NOT_PERMITTED
OUT_OF_POPULATION: Final = events_pb2.RISK_CLEARANCE_OUT_OF_POPULATION

_MOST_REASONS: Final = 5
"""Reasons that are told; all of them are explained to whoever asks."""


def score_updated(score: score_pb2.Score, version: int, at: datetime) -> Event:
    """Return the event that tells of a score that has changed materially."""
    message = events_pb2.ScoreUpdated(
        profile_id=score.profile_id,
        version=version,
        decision_id=score.decision_id,
        model_id=score.model_id,
        churn=score.churn,
        repurchase=score.repurchase,
        value=score.value if score.HasField("value") else None,
        reasons=score.reasons[:_MOST_REASONS],
        segment=score.segment,
        tier=score.tier,
        rank=score.rank,
        held_out=score.held_out,
        known_until=score.known_until if score.HasField("known_until") else None,
        occurred_at=score.scored_at,
    )
    set_stamp(message.recorded_at, at)
    return event_of(message, source=SOURCE, occurred_at=at)


def risk_raised(score: score_pb2.Score, level: int, version: int, at: datetime) -> Event:
    """Return the event that tells of a customer who is at risk."""
    message = events_pb2.RiskRaised(
        profile_id=score.profile_id,
        version=version,
        level=level,  # type: ignore[arg-type] # the numbers are the contract's
        decision_id=score.decision_id,
        model_id=score.model_id,
        churn=score.churn,
        reasons=score.reasons[:_MOST_REASONS],
        intervention=score.intervention,
        value=score.value if score.HasField("value") else None,
        held_out=score.held_out,
        occurred_at=score.scored_at,
    )
    set_stamp(message.recorded_at, at)
    return event_of(message, source=SOURCE, occurred_at=at)


def risk_cleared(profile_id: str, version: int, clearance: events_pb2.RiskClearance.ValueType, at: datetime) -> Event:
    """Return the event that tells of a customer who is not at risk any more, or may not be said to be."""
    message = events_pb2.RiskCleared(profile_id=profile_id, version=version, clearance=clearance)
    set_stamp(message.occurred_at, at)
    set_stamp(message.recorded_at, at)
    return event_of(message, source=SOURCE, occurred_at=at, urgent=True)
