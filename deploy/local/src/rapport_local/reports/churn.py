"""How the model that predicts who leaves does, on one page: figures, reliability, lift, drift, groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import accumulate

from google.protobuf.timestamp_pb2 import Timestamp
from rapport.churn.v1.events_pb2 import ModelRole
from rapport.churn.v1.model_pb2 import Metric, Model, Promotion, PromotionGate
from rapport.churn.v1.monitoring_pb2 import (
    Calibration,
    FeatureDrift,
    GroupReport,
    MonitoringReport,
    QualityFigure,
    ReliabilityBin,
)

from rapport_local.reports.page import (
    Html,
    figure,
    notes,
    number,
    page,
    section,
    side_by_side,
    table,
    text,
    verdict,
)
from rapport_local.reports.plots import Bar, Point, bars, unit_square

_DRAWN = 20
_SCORE = "the score itself"


def churn_page(model: Model, report: MonitoringReport, promotions: Sequence[Promotion]) -> str:
    """Return the page of a model.

    Args:
        model: The model, with its figures and gates.
        report: How it does.
        promotions: Who served when, the newest first.
    """
    return page(
        f"Churn model {model.model_id}",
        f"{report.scores:,} scores from {_day(report.since)} to {_day(report.as_of)}, of which {report.labelled:,}"
        f" can be held against what happened. It looks {model.horizon_days} days ahead, was trained on"
        f" {model.trained_rows:,} customers at cutoffs up to {_day(model.trained_until)}, and speaks of customers who"
        f" bought within {model.population.bought_within_days} days.",
        [
            section("In short", notes(_in_short(model, report))),
            *_quality(model, report),
            *_calibration(report),
            *_drift(report.drift),
            *_groups(report.groups),
            *_served(promotions),
        ],
    )


def gains(bins: Iterable[ReliabilityBin]) -> list[Point]:
    """Return which share of those who left is among so many of the customers with the highest scores."""
    ordered = sorted(bins, key=lambda each: -each.predicted)
    rows = list(accumulate((float(each.rows) for each in ordered), initial=0.0))
    left = list(accumulate((each.rows * each.observed for each in ordered), initial=0.0))
    if not left[-1]:
        return []
    return [Point(x / rows[-1], y / left[-1]) for x, y in zip(rows, left, strict=True)]


def _in_short(model: Model, report: MonitoringReport) -> list[Html]:
    failed = [gate.name for gate in model.gates if not gate.passed]
    drifted = [each.name or _SCORE for each in report.drift if each.drifted]
    said = [
        verdict(not failed, "It passed every gate." if not failed else f"It did not pass: {', '.join(failed)}."),
        verdict(
            not drifted,
            f"None of {len(report.drift)} features drifted."
            if not drifted
            else f"{len(drifted)} of {len(report.drift)} features drifted: {', '.join(drifted[:5])}.",
        ),
    ]
    if report.HasField("calibration"):
        error, floor = report.calibration.error, report.calibration.noise_floor
        sound = error <= 2 * floor
        said.append(
            verdict(
                sound,
                f"Its chances are off by {error:.3f} on average; {floor:.3f} would be chance alone.",
            )
        )
    else:
        said.append(text("No window has closed yet: whether its chances were right is not known."))
    return said


def _quality(model: Model, report: MonitoringReport) -> list[Html]:
    def trained(metric: Metric) -> list[Html]:
        return [text(metric.name), number(metric.value), _optional(metric, "reference")]

    def served(each: QualityFigure) -> list[Html]:
        return [text(each.name), _optional(each, "estimated"), _optional(each, "observed")]

    def gate(each: PromotionGate) -> list[Html]:
        result = verdict(each.passed, "passed" if each.passed else "not passed")
        return [text(each.name), number(each.value), number(each.bound), result]

    columns = (1, 2)
    return [
        side_by_side(
            section(
                "Before it served",
                table(["figure", "value", "held against"], map(trained, model.metrics), numbers=columns),
            ),
            section(
                "Since it serves",
                table(["figure", "estimated", "observed"], map(served, report.quality), numbers=columns),
            ),
        ),
        section("Gates to promotion", table(["gate", "value", "bound", ""], map(gate, model.gates), numbers=columns)),
    ]


def _calibration(report: MonitoringReport) -> list[Html]:
    if not report.HasField("calibration"):
        return []
    calibration: Calibration = report.calibration
    points = [Point(each.predicted, each.observed, each.rows) for each in calibration.bins]
    return [
        side_by_side(
            section(
                "Reliability",
                figure(
                    unit_square(points, across="chance said", up="share that left", title="Reliability of the chances"),
                    "On the dashed line the model is right; below it, it says too much.",
                ),
            ),
            section(
                "Lift",
                figure(
                    unit_square(
                        gains(calibration.bins),
                        across="share of customers, highest chance first",
                        up="share of leavers found",
                        title="Leavers found among the customers with the highest chances",
                    ),
                    "On the dashed line the model would find leavers by luck alone.",
                ),
            ),
        )
    ]


def _drift(drift: Sequence[FeatureDrift]) -> list[Html]:
    if not drift:
        return []
    furthest = sorted(drift, key=lambda each: -(each.statistic / each.threshold if each.threshold else each.statistic))
    rows = [Bar(each.name or _SCORE, each.statistic, each.threshold, not each.drifted) for each in furthest[:_DRAWN]]
    left_out = f" {len(drift) - _DRAWN} that moved less are left out." if len(drift) > _DRAWN else ""
    return [
        section(
            "Drift",
            figure(
                bars(rows, title="Drift of the features"),
                "How far customers are from those it was trained on (population stability index). The mark is what"
                f" chance alone stays below at these sizes.{left_out}",
            ),
        )
    ]


def _groups(groups: Sequence[GroupReport]) -> list[Html]:
    if not groups:
        return []

    def row(each: GroupReport) -> list[Html]:
        return [
            text(each.attribute),
            text(each.group),
            number(each.rows, 0),
            number(each.selected),
            *(_optional(each, name) for name in ("true_positive_rate", "false_positive_rate", "calibration_gap")),
        ]

    headings = [
        "by",
        "group",
        "customers",
        "said to be at risk",
        "of leavers",
        "of those who stayed",
        "chance too high by",
    ]
    return [section("Groups", table(headings, map(row, groups), numbers=range(2, 7)))]


def _served(promotions: Sequence[Promotion]) -> list[Html]:
    if not promotions:
        return []

    def row(each: Promotion) -> list[Html]:
        role = ModelRole.Name(each.role).removeprefix("MODEL_ROLE_").lower()
        return [text(_minute(each.promoted_at)), text(role), text(each.model_id), text(each.reason)]

    return [section("Who served when", table(["from (UTC)", "role", "model", "why"], map(row, promotions)))]


def _optional(message: Metric | QualityFigure | GroupReport, field: str) -> Html:
    return number(getattr(message, field)) if message.HasField(field) else text("-")  # type: ignore[arg-type]


def _day(time: Timestamp) -> str:
    return f"{_utc(time):%Y-%m-%d}"


def _minute(time: Timestamp) -> str:
    return f"{_utc(time):%Y-%m-%d %H:%M}"


def _utc(time: Timestamp) -> datetime:
    return time.ToDatetime(tzinfo=UTC)
