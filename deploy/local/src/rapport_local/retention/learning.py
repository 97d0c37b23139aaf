"""Learning who leaves: a model is trained, in a process of its own, and let serve by whoever is logged in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from rapport.churn.v1 import events_pb2, model_pb2
from rapport_chassis.times import stamp

from rapport_local.failure import Failure
from rapport_local.retention.desk import Desk, request_id

_WAIT_S: Final = 5
_PROMOTION_S: Final = 30
"""A service reads a model, and tries it, before it lets it serve."""


async def learned(desk: Desk, seed: int) -> model_pb2.Model:
    """Train a model on all that is known, as if it had arrived when it happened: it was loaded from history.

    Raises:
        Failure: There is too little to learn from, or the training failed.
        RemoteError: Whoever is logged in may not do that.
    """
    asked = model_pb2.TrainModelRequest(request_id=request_id(), seed=seed)
    asked.arrival_assumed_before.CopyFrom(stamp(datetime.now(UTC)))
    operation = await desk.models.TrainModel(asked)
    while not operation.done:
        operation = await desk.operations.WaitOperation(
            operations_pb2.WaitOperationRequest(name=operation.name, timeout=Duration(seconds=_WAIT_S)),
            timeout=2 * _WAIT_S,
        )
    if operation.HasField("error"):
        raise Failure("no model was trained", details=operation.error.message)
    model = model_pb2.Model()
    operation.response.Unpack(model)
    return model


async def serving(desk: Desk, model: model_pb2.Model, *, despite_gates: bool) -> None:
    """Let a model serve.

    Raises:
        Failure: It did not pass a gate, and nobody said that it may serve all the same.
        RemoteError: Whoever is logged in may not do that.
    """
    failed = [gate.name for gate in model.gates if not gate.passed]
    if failed and not despite_gates:
        raise Failure(
            f"model {model.model_id} did not pass: {', '.join(failed)}",
            hint=f"rapport report churn --model {model.model_id}; --despite-gates lets it serve all the same",
        )
    await desk.models.PromoteModel(
        model_pb2.PromoteModelRequest(
            request_id=request_id(),
            model_id=model.model_id,
            role=events_pb2.MODEL_ROLE_CHAMPION,
            despite_gates=bool(failed),
            reason="learned from what was taken in",
        ),
        timeout=_PROMOTION_S,
    )
