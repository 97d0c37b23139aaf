"""Models and promotions as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping

from rapport.churn.v1 import events_pb2, model_pb2
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.times import set_stamp

from rapport_churn.app.models import Gate, Promotion, Role, Stored
from rapport_churn.translate.events import SOURCE


def model_message(stored: Stored, promotion: Promotion | None, card: bytes = b"") -> model_pb2.Model:
    """Return a model with the role it has; with its card, where one model is asked for."""
    message = model_pb2.Model.FromString(stored.body)
    message.card = card
    if promotion is not None:
        message.role = int(promotion.role)  # type: ignore[assignment] # the numbers are the contract's
        set_stamp(message.promoted_at, promotion.promoted_at)
    return message


def gates_of(stored: Stored) -> list[Gate]:
    """Return what a model must pass, and how it did."""
    message = model_pb2.Model.FromString(stored.body)
    return [Gate(gate.name, gate.passed, gate.value, gate.bound) for gate in message.gates]


def roles_of(promotions: Mapping[Role, Promotion]) -> dict[str, Promotion]:
    """Return which model has which role; of two, that of the champion."""
    return {each.model_id: each for each in sorted(promotions.values(), key=lambda each: -each.role)}


def promotion_message(promotion: Promotion) -> model_pb2.Promotion:
    """Return a promotion as a message."""
    message = model_pb2.Promotion(
        role=int(promotion.role),  # type: ignore[arg-type] # the numbers are the contract's
        version=promotion.version,
        model_id=promotion.model_id,
        previous_model_id=promotion.previous_model_id,
        promoted_by=promotion.promoted_by,
        reason=promotion.reason,
        despite_gates=promotion.despite_gates,
    )
    set_stamp(message.promoted_at, promotion.promoted_at)
    return message


def model_promoted(promotion: Promotion, stored: Stored) -> Event:
    """Return the event that tells of a promotion."""
    model = model_pb2.Model.FromString(stored.body)
    message = events_pb2.ModelPromoted(
        model_id=promotion.model_id,
        version=promotion.version,
        role=int(promotion.role),  # type: ignore[arg-type] # the numbers are the contract's
        previous_model_id=promotion.previous_model_id,
        artefact_sha256=stored.sha256,
        horizon_days=sorted({30, 60, 90, model.horizon_days}),
        trained_until=model.trained_until,
    )
    set_stamp(message.occurred_at, promotion.promoted_at)
    set_stamp(message.recorded_at, promotion.promoted_at)
    return event_of(message, source=SOURCE, occurred_at=promotion.promoted_at)


def trained_until(stored: Stored) -> float:
    """Return when the last window ended that a model was trained on, in seconds since 1970."""
    return model_pb2.Model.FromString(stored.body).trained_until.ToMicroseconds() / 1e6
