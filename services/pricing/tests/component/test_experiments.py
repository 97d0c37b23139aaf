"""Experiments: an account keeps its arm, a market changes it with time, and what both showed is told with intervals."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pricing_desk import Desk
from pricing_installation import PERSONAL, PricingInstallation
from pricing_words import INDIVIDUAL, minor, promotion_terms, request_id
from rapport.pricing.v1 import authored_pb2, experiments_pb2
from rapport_chassis.ids import new_id
from rapport_pricing.domain.experiments import Experiment, Unit, assign
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

ACCOUNT, SWITCHBACK = authored_pb2.EXPERIMENT_UNIT_ACCOUNT, authored_pb2.EXPERIMENT_UNIT_SWITCHBACK


def terms(unit: authored_pb2.ExperimentUnit.ValueType, promotion: str, **fields: Any) -> authored_pb2.ExperimentTerms:
    arms = [
        authored_pb2.ExperimentArm(name="control", share=5000),
        authored_pb2.ExperimentArm(name="lower", share=5000, promotion_id=promotion),
    ]
    return authored_pb2.ExperimentTerms(unit=unit, arms=arms, markets=["DE"], **fields)


async def begun(desk: Desk, name: str, what: authored_pb2.ExperimentTerms) -> None:
    request = experiments_pb2.CreateExperimentRequest(request_id=request_id(), experiment_id=name, terms=what)
    await desk.activate(await desk.trials.CreateExperiment(request))


async def report(desk: Desk, name: str) -> experiments_pb2.ExperimentReport:
    return await desk.trials.GetExperimentReport(experiments_pb2.GetExperimentReportRequest(experiment_id=name))


async def stopped(desk: Desk, name: str) -> None:
    await desk.trials.StopExperiment(
        experiments_pb2.StopExperimentRequest(request_id=request_id(), experiment_id=name, reason="decided")
    )


async def test_an_account_keeps_its_arm_and_the_report_tells_what_it_earned(
    desk: Desk, installation: PricingInstallation
) -> None:
    name, promotion = f"e{request_id()[:12]}", f"p{request_id()[:12]}"
    shoe = await desk.sold(1190)
    scope = authored_pb2.TermsScope(markets=["DE"], product_ids=[shoe.product_id])
    await desk.promote(promotion, promotion_terms(percent_ppm=100_000, audience=INDIVIDUAL, scope=scope))
    experiment = Experiment(f"{name}:1", Unit.ACCOUNT, {"control": 5000, "lower": 5000})
    people: dict[str, str] = {}
    while sorted(people.values()) != ["control"] * 3 + ["lower"] * 3:
        who = new_id("profile")
        arm = assign(experiment, who).arm
        if list(people.values()).count(arm) < 3:
            people[who] = arm
    for who in people:
        await asyncio.to_thread(installation.ledger.grant, who, PERSONAL)
    await desk.until_known(installation.ledger)
    await begun(desk, name, terms(ACCOUNT, promotion))
    for who, arm in people.items():
        quotes = [await desk.quote((shoe, 1), profile_id=who) for _ in range(2)]
        assert [minor(each.gross) for each in quotes] == [1190 if arm == "control" else 1071] * 2
        assert (await desk.explain(quotes[0])).replayed
        await desk.redeem(quotes[1])
    assert minor((await desk.quote((shoe, 1), profile_id=new_id("profile"))).gross) == 1190, "no permit, no experiment"

    async def told() -> Any:
        found = await report(desk, name)
        return found if sum(each.quotes for each in found.arms) == 12 else None

    found = await eventually(told, timeout_s=10)
    control, lower = found.arms
    assert (control.units, control.redeemed, control.mean) == (3, 3, 400)
    assert (lower.units, lower.redeemed, lower.mean, lower.if_all) == (3, 3, 300, 300)
    assert not lower.HasField("lift"), "six accounts tell nothing"

    panel = [experiments_pb2.PanelMember(profile_id=who, group=arm) for who, arm in people.items()]
    fair = await desk.trials.GetFairnessReport(experiments_pb2.GetFairnessReportRequest(panel=panel))
    assert fair.quotes >= 12
    assert {each.input: each.moved > 0 for each in fair.inputs} == {
        "loyalty_tier": False,
        "experiment": True,
        "offer": False,
    }
    await stopped(desk, name)
    who = min(who for who, arm in people.items() if arm == "lower")
    assert minor((await desk.quote((shoe, 1), profile_id=who)).gross) == 1190


async def test_a_market_changes_its_arm_with_time_for_everybody_alike(desk: Desk) -> None:
    name, promotion = f"e{request_id()[:12]}", f"p{request_id()[:12]}"
    shoe = await desk.sold(1000)
    scope = authored_pb2.TermsScope(markets=["DE"], product_ids=[shoe.product_id])
    drafted = promotion_terms(percent_ppm=100_000, scope=scope)
    await desk.promote(promotion, drafted)
    await begun(desk, name, terms(SWITCHBACK, promotion, period={"seconds": 1}, bandit=True))
    seen: set[int] = set()

    async def both() -> bool:
        request = [await desk.quote((shoe, 1)) for _ in range(2)]
        assert (await desk.explain(request[0])).replayed
        seen.update(minor(each.gross) for each in request)
        return seen == {1000, 900}

    await eventually(both, timeout_s=40)

    async def journalled() -> experiments_pb2.ExperimentReport | None:
        found = await report(desk, name)
        return found if all(each.units for each in found.arms) else None

    found = await eventually(journalled, timeout_s=20)
    assert [each.name for each in found.arms] == ["control", "lower"]
    assert sum(each.share for each in found.arms) == 10_000
    await stopped(desk, name)
    assert minor((await desk.quote((shoe, 1))).gross) == 900, "the promotion is everybody's again"


@pytest.mark.parametrize(
    ("unit", "fields", "reason"),
    [
        (ACCOUNT, {"bandit": True}, "EXPERIMENT_INVALID"),
        (ACCOUNT, {"period": {"seconds": 5}}, "EXPERIMENT_INVALID"),
        (SWITCHBACK, {"period": {"seconds": 5}}, "EXPERIMENT_INVALID"),
    ],
)
async def test_an_experiment_that_means_nothing_is_not_drafted(desk: Desk, unit: Any, fields: Any, reason: str) -> None:
    with refused(reason):
        await begun(desk, "nothing", terms(unit, "winback", **fields))
