"""What experiments on prices showed, on one page: arms, lifts with their intervals, and how these narrowed."""

from __future__ import annotations

from collections.abc import Sequence

from rapport.pricing.v1.authored_pb2 import ExperimentUnit, VersionState
from rapport.pricing.v1.experiments_pb2 import ArmFigures, Estimate, ExperimentReport

from rapport_local.reports.page import Html, figure, notes, number, page, section, table, text, verdict
from rapport_local.reports.plots import Band, bands

_UNITS = {
    ExperimentUnit.EXPERIMENT_UNIT_ACCOUNT: "accounts",
    ExperimentUnit.EXPERIMENT_UNIT_SWITCHBACK: "stretches of time",
}
_STATES = {
    VersionState.VERSION_STATE_DRAFT: "drafted",
    VersionState.VERSION_STATE_ACTIVE: "running",
    VersionState.VERSION_STATE_RETIRED: "over",
}


def pricing_page(reports: Sequence[ExperimentReport]) -> str:
    """Return the page of experiments.

    Args:
        reports: What each showed.
    """
    lead = "Contribution is what was paid less tax and cost. Every interval holds at every look at once."
    parts = [each for report in reports for each in _experiment(report)]
    return page(
        "Experiments on prices", lead, parts or [section("None", notes([text("No experiment was drafted yet.")]))]
    )


def _experiment(report: ExperimentReport) -> list[Html]:
    units = _UNITS.get(report.unit, "units")
    given = sum(each.units for each in report.arms)
    said = [text(f"{_STATES.get(report.state, 'unknown')}, version {report.version}, {given:,} {units} so far")]
    said += [_verdict(each) for each in report.arms[1:]]
    drawn = []
    for arm in report.arms[1:]:
        looks = [
            Band(look.units, look.lift.value, look.lift.low, look.lift.high)
            for look in report.looks
            if look.name == arm.name
        ]
        if looks:
            title = f"Lift of {arm.name} over {report.arms[0].name}"
            drawn.append(figure(bands(looks, across=units, title=title), f"{title}, in minor units of contribution."))
    return [section(report.experiment_id, notes(said), _table(report, units), *drawn)]


def _verdict(arm: ArmFigures) -> Html:
    if not arm.HasField("lift"):
        return text(f"{arm.name}: too few to say anything")
    if not arm.decided:
        return text(f"{arm.name}: not decided yet")
    better = arm.lift.value > 0
    return verdict(better, f"{arm.name} earns {'more' if better else 'less'}")


def _table(report: ExperimentReport, units: str) -> Html:
    headings = (
        "Arm",
        "Share now",
        units.capitalize(),
        "Quotes",
        "Redeemed",
        "Contribution",
        "Lift",
        "If all were given it",
    )
    rows = [
        (
            text(arm.name),
            text(f"{arm.share / 100:g} %"),
            number(arm.units, 0),
            number(arm.quotes, 0),
            number(arm.redeemed, 0),
            number(arm.mean, 1),
            text(_interval(arm.lift) if arm.HasField("lift") else ""),
            number(arm.if_all, 1),
        )
        for arm in report.arms
    ]
    return table(headings, rows, numbers=range(1, len(headings)))


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:+,.1f} ({estimate.low:+,.1f} to {estimate.high:+,.1f})"
