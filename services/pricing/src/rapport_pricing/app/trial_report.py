"""Use case: what an experiment showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from rapport_pricing.app.trials import Trial
from rapport_pricing.domain.experiments import Arm, Lift, Logged, OffPolicy, lift, replay_logged

_LOOKS: Final = 20


class UnitFigures(NamedTuple):
    """What an account or a stretch was given, and what it earned, in minor units."""

    arm: str
    propensity: float
    quotes: int
    redeemed: int
    earned: int
    currency: str
    first_at: datetime


class ArmReport(NamedTuple):
    """An arm in figures.

    Attributes:
        name: The arm.
        sums: Of its units.
        quotes: They got.
        redeemed: They redeemed.
        lift: Over the first arm; None for that, and where there are too few units.
        if_all: What every unit would have earned in it.
    """

    name: str
    sums: Arm
    quotes: int
    redeemed: int
    lift: Lift | None
    if_all: OffPolicy | None


class Look(NamedTuple):
    """The lift of an arm after a number of units of all arms."""

    name: str
    units: int
    lift: Lift


class TrialReport(NamedTuple):
    """What an experiment showed."""

    arms: Sequence[ArmReport]
    looks: Sequence[Look]


def report_on(trial: Trial, units: Sequence[UnitFigures]) -> TrialReport:
    """Return what an experiment showed.

    Args:
        trial: The experiment.
        units: In the order in which they were given an arm.
    """
    names = list(trial.arms)
    sums = arms_of(names, units)
    reports = []
    for name in names:
        mine = [each for each in units if each.arm == name]
        log = [Logged(each.propensity, float(each.arm == name), float(each.earned)) for each in units]
        reports.append(
            ArmReport(
                name,
                sums[name],
                sum(each.quotes for each in mine),
                sum(each.redeemed for each in mine),
                _lift(trial, sums, name),
                replay_logged(log) if log else None,
            )
        )
    looks = []
    for cut in sorted({max(len(units) * look // _LOOKS, 1) for look in range(1, _LOOKS + 1)} if units else ()):
        then = arms_of(names, units[:cut])
        for name in names[1:]:
            found = _lift(trial, then, name)
            if found is not None:
                looks.append(Look(name, cut, found))
    return TrialReport(reports, sorted(looks, key=lambda each: names.index(each.name)))


def arms_of(names: Sequence[str], units: Sequence[UnitFigures]) -> dict[str, Arm]:
    """Return the sums of each arm."""
    sums = dict.fromkeys(names, (0, 0, 0))
    for each in units:
        count, total, squares = sums[each.arm]
        sums[each.arm] = count + 1, total + each.earned, squares + each.earned**2
    return {name: Arm(count, float(total), float(squares)) for name, (count, total, squares) in sums.items()}


def _lift(trial: Trial, sums: Mapping[str, Arm], name: str) -> Lift | None:
    control = next(iter(trial.arms))
    if name == control:
        return None
    return lift(sums[control], sums[name], planned_units=trial.planned_units)
