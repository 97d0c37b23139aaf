"""What experiments and audits showed, as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rapport.pricing.v1 import authored_pb2, experiments_pb2, quote_pb2
from rapport_chassis.authored import Version
from rapport_chassis.times import stamp

from rapport_pricing.app.rules import Kind
from rapport_pricing.app.trial_report import ArmReport, TrialReport, UnitFigures
from rapport_pricing.app.trials import Trial
from rapport_pricing.domain.experiments import Lift, Unit
from rapport_pricing.domain.fairness import Interval, Quoted, by_group, drop_feature
from rapport_pricing.translate.authored import version_message
from rapport_pricing.translate.money import money_of
from rapport_pricing.translate.quotes import personal_in

_UNITS: Final = {
    Unit.ACCOUNT: authored_pb2.EXPERIMENT_UNIT_ACCOUNT,
    Unit.SWITCHBACK: authored_pb2.EXPERIMENT_UNIT_SWITCHBACK,
}
_INPUTS: Final = ("experiment", "loyalty_tier", "offer")


def report_message(
    trial: Trial, version: Version, shares: Mapping[str, int], units: Sequence[UnitFigures], report: TrialReport
) -> experiments_pb2.ExperimentReport:
    """Return what an experiment showed as a message."""
    message = experiments_pb2.ExperimentReport(
        experiment_id=trial.name,
        version=trial.version,
        state=version_message(Kind.EXPERIMENT, version).state,
        unit=_UNITS[trial.experiment.unit],
        currency=units[0].currency if units else "",
        arms=[_arm(each, shares[each.name]) for each in report.arms],
        looks=[experiments_pb2.Look(name=each.name, units=each.units, lift=_lift(each.lift)) for each in report.looks],
    )
    if units:
        message.began_at.CopyFrom(stamp(units[0].first_at))
    return message


def fairness_message(quotes: Sequence[tuple[str, bytes, str, bool]]) -> experiments_pb2.FairnessReport:
    """Return whether prices treat groups alike.

    Args:
        quotes: Group, what the quote says, what it was made from, whether it was redeemed.
    """
    quoted: list[Quoted] = []
    customers: list[tuple[str, Mapping[str, float]]] = []
    for group, body, inputs, redeemed in quotes:
        features = _features(body, inputs)
        published = round(features["published"])
        if published:
            quoted.append(
                Quoted(group, published, published - sum(round(features[each]) for each in _INPUTS), redeemed)
            )
            customers.append((group, features))
    message = experiments_pb2.FairnessReport(quotes=len(quoted))
    for group, figures in by_group(quoted).items():
        message.groups.add(
            group=group,
            quotes=figures.quotes,
            price_ratio=_estimate(figures.price_ratio),
            discount_rate=_estimate(figures.discount_rate),
            acceptance=_estimate(figures.acceptance),
        )
    for name in _INPUTS if customers else ():
        found = drop_feature(customers, name, 0.0, _price)
        message.inputs.add(
            input=name,
            moved=found.moved,
            mean_change=found.mean_change,
            gap_with=found.gap_with,
            gap_without=found.gap_without,
        )
    return message


def _features(body: bytes, inputs: str) -> Mapping[str, float]:
    """Return what a quote would cost without personal data, and what each personal input took off it."""
    tried = {each.promotion_id for each in personal_in(inputs).assigned}
    taken = dict.fromkeys(_INPUTS, 0)
    published = 0
    for line in quote_pb2.Quote.FromString(body).lines:
        for part in line.components:
            amount = money_of(part.amount, "amount").minor
            if part.kind != quote_pb2.COMPONENT_KIND_PERSONAL:
                published += amount
            elif part.reference in tried:
                taken["experiment"] -= amount
            else:
                taken["offer" if part.reference.startswith("ofr_") else "loyalty_tier"] -= amount
    return {"published": published, **taken}


def _price(features: Mapping[str, float]) -> int:
    return round(features["published"] - sum(features[each] for each in _INPUTS))


def _arm(report: ArmReport, share: int) -> experiments_pb2.ArmFigures:
    message = experiments_pb2.ArmFigures(
        name=report.name,
        share=share,
        units=report.sums.units,
        quotes=report.quotes,
        redeemed=report.redeemed,
        mean=report.sums.mean,
    )
    if report.lift is not None:
        message.lift.CopyFrom(_lift(report.lift))
        message.decided = report.lift.decided
    if report.if_all is not None:
        message.if_all, message.effective_units = report.if_all.value, report.if_all.effective
    return message


def _lift(lift: Lift) -> experiments_pb2.Estimate:
    return experiments_pb2.Estimate(value=lift.difference, low=lift.low, high=lift.high)


def _estimate(interval: Interval) -> experiments_pb2.Estimate:
    return experiments_pb2.Estimate(value=interval.value, low=interval.low, high=interval.high)
