"""Scores over the wire: what happened becomes a score with exact reasons, as far as the gate permits."""

from __future__ import annotations

from uuid import uuid4

import pytest
from churn_desk import Desk
from churn_events import ANALYTICS, DELIVERY, days_ago, order, viewed
from churn_installation import PROFILING
from rapport.churn.v1 import churn_pb2
from rapport.consent.v1 import consent_pb2
from rapport_chassis.ids import new_id
from rapport_testing.refusals import refused


async def test_a_score_says_who_why_how_much_and_by_whose_permission(desk: Desk, model_id: str) -> None:
    who = await desk.customer(200, 150, 100, 5, pounds=30)
    score = await desk.until_serving(model_id, who)
    assert score.profile_id == who
    assert [each.days for each in score.churn] == [30, 60, 90]
    chances = [each.probability for each in score.churn]
    assert chances == sorted(chances, reverse=True)
    assert [each.probability + back.probability for each, back in zip(score.churn, score.repurchase, strict=True)] == [
        pytest.approx(1.0)
    ] * 3
    assert score.base + sum(each.contribution for each in score.reasons) == pytest.approx(score.log_odds, abs=1e-12)
    assert (score.value.mean.currency_code, score.value.days) == ("GBP", 180)
    assert score.value.low.units <= score.value.mean.units <= score.value.high.units
    assert score.permission.answer == consent_pb2.ANSWER_PERMIT
    assert score.permission.reference
    assert score.permission.position.position
    assert (score.segment, score.tier) != ("", "")


async def test_of_two_customers_the_one_who_stays_away_longer_is_likelier_to_have_left(
    desk: Desk, model_id: str
) -> None:
    lately, long_ago = await desk.customer(90, 60, 30, 1), await desk.customer(290, 260, 230, 200)
    await desk.until_serving(model_id, lately)
    first, second = await desk.score(lately), await desk.score(long_ago)
    assert first.log_odds < second.log_odds
    assert first.rank <= second.rank
    assert second.intervention


async def test_a_repeat_changes_nothing_and_what_is_new_changes_the_next_score(desk: Desk, model_id: str) -> None:
    who = await desk.customer(100, 50)
    await desk.until_serving(model_id, who)
    again = order(who, days_ago(40))
    before = await desk.score(who)
    await desk.tell(again, again._replace(id=new_id("event")))
    await desk.until_known(who, 3)
    assert (await desk.score(who)).log_odds < before.log_odds


async def test_what_was_collected_for_other_purposes_alone_is_not_kept(desk: Desk) -> None:
    who = await desk.customer(10)
    await desk.tell(viewed(who, days_ago(3), DELIVERY), viewed(who, days_ago(2), ANALYTICS, DELIVERY))
    assert (await desk.until_known(who, 2)).events == 2


async def test_a_fact_issued_again_for_another_is_the_others(desk: Desk) -> None:
    one, other = await desk.customer(30), await desk.customer(40)
    fact_id = new_id("fact")
    await desk.tell(order(one, days_ago(20), fact_id=fact_id))
    await desk.until_known(one, 2)
    await desk.tell(order(other, days_ago(20), fact_id=fact_id, version=2))
    await desk.until_known(other, 2)
    await desk.until_known(one, 1)


async def test_features_as_of_a_time_know_what_had_arrived_by_then(desk: Desk) -> None:
    who = await desk.customer(400)
    await desk.tell(order(who, days_ago(300), recorded_at=days_ago(200)))
    await desk.tell(order(who, days_ago(100), recorded_at=days_ago(99)))
    now = {each.name: each.value for each in (await desk.until_known(who, 3)).features}
    then = await desk.features(who, days_ago(150))
    values = {each.name: each.value for each in then.features}
    assert (then.events, values["orders_ever"], now["orders_ever"]) == (1, 1, 3)
    assert values["days_since_order"] == pytest.approx(150, abs=0.01)


async def test_nobody_is_scored_without_a_decision_after_a_refusal_or_unknown(desk: Desk, model_id: str) -> None:
    nobody = new_id("profile")
    error = await desk.until_refused(nobody, "PROFILING_DENIED")
    assert error.metadata["reason"] == "NO_DECISION"
    desk.installation.ledger.grant(nobody, PROFILING)
    await desk.until_refused(nobody, "NOTHING_KNOWN")
    who = await desk.customer(5)
    await desk.until_serving(model_id, who)
    desk.installation.ledger.withdraw(who, PROFILING)
    assert (await desk.until_refused(who, "PROFILING_DENIED")).metadata["reason"] == "WITHDRAWN"


async def test_who_has_never_bought_or_not_for_too_long_is_outside_of_the_population(desk: Desk, model_id: str) -> None:
    serving = await desk.customer(5)
    await desk.until_serving(model_id, serving)
    visitor, gone = await desk.customer(), await desk.customer(900, 800)
    await desk.tell(viewed(visitor, days_ago(1)))
    await desk.until_known(visitor, 1)
    for who in (visitor, gone):
        with refused("OUT_OF_POPULATION"):
            await desk.score(who)


async def test_an_absorbed_id_is_answered_with_the_one_that_stands_for_it(desk: Desk, model_id: str) -> None:
    survivor, absorbed = await desk.customer(100, 80), await desk.customer(60, 40, 20)
    await desk.until_serving(model_id, survivor)
    earlier = await desk.score(absorbed)
    desk.installation.ledger.merge(survivor, absorbed)
    await desk.until_known(absorbed, 5)
    assert (await desk.score(absorbed)).profile_id == survivor
    assert (await desk.explain(earlier.decision_id)).score.profile_id == survivor
    desk.installation.ledger.split(absorbed)
    desk.installation.ledger.grant(absorbed, PROFILING)
    await desk.until_known(absorbed, 3)
    await desk.until_known(survivor, 2)


async def test_many_are_scored_each_judged_by_itself(desk: Desk, model_id: str) -> None:
    who, stranger = await desk.customer(20, 5), new_id("profile")
    await desk.until_serving(model_id, who)
    answer = await desk.shop.BatchScoreProfiles(churn_pb2.BatchScoreProfilesRequest(profile_ids=[who, stranger, who]))
    assert [each.status.code for each in answer.results] == [0, 9, 0]
    assert answer.results[0].score.log_odds == pytest.approx(answer.results[2].score.log_odds, abs=1e-3)
    assert answer.results[0].score.decision_id != answer.results[2].score.decision_id


async def test_a_score_is_explained_by_what_it_was_made_of(desk: Desk, model_id: str) -> None:
    who = await desk.customer(60, 30)
    score = await desk.until_serving(model_id, who)
    at_once = await desk.explain(score.decision_id)
    assert at_once.score == score
    values = {each.name: each for each in at_once.features}
    assert values["orders_ever"].value == 2
    assert not values["days_since_return"].HasField("value")
    await desk.tell(order(who, days_ago(1)))
    await desk.until_known(who, 3)
    assert await desk.explain(score.decision_id) == at_once
    with refused("DECISION_NOT_FOUND", "decision_id"):
        await desk.explain(new_id("decision"))


async def test_chance_holds_the_same_few_out_for_ever(desk: Desk, model_id: str) -> None:
    who = await desk.customer(10)
    await desk.until_serving(model_id, who)
    assert len({(await desk.score(who)).held_out for _ in range(5)}) == 1


async def test_a_token_of_a_write_that_nobody_knows_is_not_met(desk: Desk) -> None:
    who = await desk.customer(10)
    with refused("PERMISSION_UNKNOWN"):
        await desk.score(who, at_least={"epoch": uuid4().hex, "position": 1})
