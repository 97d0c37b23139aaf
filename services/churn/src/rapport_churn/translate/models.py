"""Models and promotions as messages of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from rapport.churn.v1 import events_pb2, model_pb2
from rapport_chassis.events.envelope import Event, event_of
from rapport_chassis.times import set_stamp

from rapport_churn.app.models import Gate, Promotion, Role, Stored
from rapport_churn.app.train import Made
from rapport_churn.translate.events import SOURCE

_PHASES: Final = {
    "reading": model_pb2.TRAINING_PHASE_READING,
    "features": model_pb2.TRAINING_PHASE_FEATURES,
    "search": model_pb2.TRAINING_PHASE_SEARCH,
    "backtest": model_pb2.TRAINING_PHASE_BACKTEST,
    "fit": model_pb2.TRAINING_PHASE_FITTING,
    "fitting": model_pb2.TRAINING_PHASE_FITTING,
    "registering": model_pb2.TRAINING_PHASE_REGISTERING,
}


def model_message(stored: Stored, promotion: Promotion | None, card: bytes = b"") -> model_pb2.Model:
    """Return a model with the role it has; with its card, where one model is asked for."""
    message = model_pb2.Model.FromString(stored.body)
    message.card = card
    if promotion is not None:
        message.role = int(promotion.role)  # type: ignore[assignment] # the numbers are the contract's
        set_stamp(message.promoted_at, promotion.promoted_at)
    return message


def new_model(model_id: str, sha256: bytes, made: Made, gates: Sequence[Gate], created_at: datetime) -> Stored:
    """Return a model that was trained, as it is stored."""
    card = json.loads(made.files["card.json"])
    message = model_pb2.Model(
        model_id=model_id,
        artefact_sha256=sha256,
        horizon_days=card["horizon"]["days"],
        population=model_pb2.Population(
            bought_within_days=card["population"]["active_days"], least_orders=card["population"]["order_days"]
        ),
        feature_set_sha256=bytes.fromhex(card["feature_set"]),
        trained_rows=card["rows"],
        rows_root=bytes.fromhex(card["rows_root"]),
        metrics=[
            model_pb2.Metric(name=each["name"], value=each["value"], reference=each.get("reference"))
            for each in card["metrics"]
        ],
        gates=[model_pb2.PromotionGate(**gate._asdict()) for gate in gates],
    )
    # A model of the first days has no closed window: it knows what had arrived.
    message.trained_until.FromMicroseconds(card["trained_until"] or card["as_of"])
    message.trained_at.epoch, message.trained_at.position = made.ledger_epoch, made.ledger_position
    set_stamp(message.created_at, created_at)
    snapshot = made.snapshot
    return Stored(model_id, sha256, message.SerializeToString(), snapshot.epoch, snapshot.position, created_at)


def work_message(phase: str, done: int, total: int, started_at: datetime) -> model_pb2.TrainModelMetadata:
    """Return how far a training has come."""
    message = model_pb2.TrainModelMetadata(
        phase=_PHASES.get(phase, model_pb2.TRAINING_PHASE_UNSPECIFIED), done=done, total=total
    )
    set_stamp(message.started_at, started_at)
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


def horizon_of(stored: Stored) -> int:
    """Return the days that a model was trained to look ahead."""
    return model_pb2.Model.FromString(stored.body).horizon_days
