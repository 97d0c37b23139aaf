"""Experiments in force: which arm a quote gets, and what that arm lowers prices by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from rapport_pricing.domain.experiments import Experiment, Unit, assign


@dataclass(frozen=True, slots=True)
class Trial:
    """A version of an authored experiment.

    Attributes:
        name: Its name.
        version: Of it.
        experiment: Its arms and their shares.
        arms: Arm -> the promotion it lowers prices by; empty for published prices. The first is the control.
        markets: Where it runs.
        bandit: Whether arms that earn more are given out more often.
        planned_units: Where its interval is to be narrowest.
    """

    name: str
    version: int
    experiment: Experiment
    arms: Mapping[str, str]
    markets: frozenset[str]
    bandit: bool
    planned_units: int

    @property
    def promotions(self) -> frozenset[str]:
        """The promotions that nobody else gets while it runs."""
        return frozenset(each for each in self.arms.values() if each)


class Allocation(NamedTuple):
    """Shares by which a trial gives out arms from a time on."""

    name: str
    version: int
    since_us: int
    shares: Mapping[str, int]


class Assigned(NamedTuple):
    """An arm that was given to a quote.

    Attributes:
        name: Of the trial.
        version: Of it.
        unit_id: The account, or the market and the beginning of the stretch.
        is_account: Whether it is an account.
        arm: Which.
        propensity: The chance with which it was drawn.
        promotion_id: What the arm lowers prices by; empty for nothing.
    """

    name: str
    version: int
    unit_id: str
    is_account: bool
    arm: str
    propensity: float
    promotion_id: str


def assigned(
    trials: Iterable[Trial], allocations: Mapping[str, Sequence[Allocation]], market: str, account: str, at_us: int
) -> list[Assigned]:
    """Return the arms that a quote is given.

    Args:
        trials: In force.
        allocations: Of bandits, by name, oldest first.
        market: Of the quote.
        account: The customer, where personal prices are permitted; else empty: then no trial of accounts counts.
        at_us: When.
    """
    found = []
    for trial in trials:
        if market not in trial.markets:
            continue
        experiment = trial.experiment
        if experiment.unit is Unit.ACCOUNT:
            if not account:
                continue
            unit_id, given = account, assign(experiment, account)
        else:
            begins_us = at_us // experiment.period_us * experiment.period_us
            shares = shares_at(trial, allocations.get(trial.name, ()), begins_us)
            unit_id = f"{market}@{begins_us}"
            given = assign(replace(experiment, shares=shares), market, at_us)
        promotion_id = trial.arms[given.arm]
        is_account = experiment.unit is Unit.ACCOUNT
        found.append(
            Assigned(trial.name, trial.version, unit_id, is_account, given.arm, given.propensity, promotion_id)
        )
    return found


def shares_at(trial: Trial, allocations: Iterable[Allocation], at_us: int) -> Mapping[str, int]:
    """Return the shares by which a trial gives out arms at a time."""
    shares = trial.experiment.shares
    for each in allocations:
        if each.version == trial.version and each.since_us <= at_us:
            shares = each.shares
    return shares
