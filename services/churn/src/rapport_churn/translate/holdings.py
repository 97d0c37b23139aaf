"""What churn holds of a person, as a copy that can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.type import money_pb2
from rapport.churn.v1 import score_pb2

from rapport_churn.app.times import moment_of
from rapport_churn.domain.facts import FactKind


def fact_content(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is kept of something that happened: what features are counted from."""
    return {
        "kind": FactKind(row["kind"]).name.lower(),
        "occurred_at": moment_of(row["occurred_at"]),
        "value": row["value"],
        "quantity": row["quantity"],
        "channel": row["channel"],
    }


def score_content(body: bytes) -> Mapping[str, Any]:
    """Return a score with what it rests on: chances and contributions are texts, for a copy has no fractions."""
    score = score_pb2.Score.FromString(body)
    content: dict[str, Any] = {
        "model_id": score.model_id,
        "horizon_days": score.horizon_days,
        "churn": {str(each.days): _figure(each.probability) for each in score.churn},
        "reasons": [{"reason": each.code, "contribution": _figure(each.contribution)} for each in score.reasons],
        "average_customer": _figure(score.base),
        "segment": score.segment,
        "tier": score.tier,
        "rank": _figure(score.rank),
        "suggested": score.intervention,
        "held_out": score.held_out,
    }
    if score.HasField("value"):
        value = score.value
        content["expected_spend"] = {
            "days": value.days,
            **{name: _amount(getattr(value, name)) for name in ("mean", "low", "high")},
        }
    return content


def _figure(number: float) -> str:
    return f"{number:.4f}"


def _amount(amount: money_pb2.Money) -> str:
    return f"{amount.units}.{amount.nanos // 10_000_000:02} {amount.currency_code}"
