"""What is told of customers without being asked: scores that changed, risks raised and cleared."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from churn_desk import Desk, request_id
from churn_events import days_ago, order, viewed
from churn_installation import PROFILING
from rapport.churn.v1 import churn_pb2, events_pb2, score_pb2
from rapport_chassis.ids import new_id
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

UPDATED, RAISED, CLEARED = events_pb2.ScoreUpdated, events_pb2.RiskRaised, events_pb2.RiskCleared


async def until_last(desk: Desk, who: str, kind: type[Any]) -> Any:
    """Wait until what was told last of a customer's risk is of a kind."""

    async def so() -> Any:
        found = [each for each in await desk.told(who) if type(each) is not UPDATED]
        return found[-1] if found and type(found[-1]) is kind else None

    return await eventually(so, timeout_s=20)


async def test_a_customer_who_comes_to_be_known_is_told_of_with_reasons_and_a_decision_that_explains_it(
    desk: Desk, model_id: str
) -> None:
    who = await desk.customer(70, 40, 10, pounds=25)
    told = await eventually(lambda: desk.told(who), timeout_s=20)
    assert type(told[0]) is UPDATED
    assert (told[0].version, told[0].model_id) == (1, model_id)
    explained = await desk.explain(told[0].decision_id)
    assert list(explained.score.churn) == list(told[0].churn)
    assert explained.score.permission.reference


async def test_a_risk_is_raised_once_and_cleared_when_the_customer_buys_again(desk: Desk, model_id: str) -> None:
    who = await desk.customer(300, 290, 280)
    await until_last(desk, who, RAISED)
    (raised,) = [each for each in await desk.told(who) if type(each) is RAISED]
    assert raised.level >= events_pb2.RISK_LEVEL_ELEVATED
    assert raised.intervention
    await desk.tell(viewed(who, days_ago(0.1)))
    await desk.until_known(who, 4)
    await desk.tell(*(order(who, days_ago(each)) for each in (3, 2, 1)))
    await until_last(desk, who, CLEARED)
    told = await desk.told(who)
    risks = [each for each in told if type(each) is not UPDATED]
    assert [type(each) for each in risks][0::2] == [RAISED] * len(risks[0::2])
    assert [each.version for each in risks] == list(range(1, len(risks) + 1))
    assert risks[-1].clearance == events_pb2.RISK_CLEARANCE_RECOVERED
    scores = [each for each in told if type(each) is UPDATED]
    assert [each.version for each in scores] == list(range(1, len(scores) + 1))


async def test_a_grant_has_those_told_of_who_were_known_before(desk: Desk, model_id: str) -> None:
    who = await desk.customer(90, 60, permitted=False)
    await desk.until_refused(who, "PROFILING_DENIED")
    assert await desk.told(who) == []
    desk.installation.ledger.grant(who, PROFILING)
    await desk.until_known(who, 2)
    await eventually(lambda: desk.told(who), timeout_s=20)


async def test_customers_are_ranked_by_what_was_told_of_them_page_by_page(desk: Desk, model_id: str) -> None:
    people = [await desk.customer(300 - 20 * each, 290 - 20 * each, pounds=10 * each + 5) for each in range(4)]
    for who in people:
        await eventually(partial(desk.told, who), timeout_s=20)
    found: list[churn_pb2.RankedProfile] = []
    request = churn_pb2.RankProfilesRequest(page_size=2, order=churn_pb2.RANK_ORDER_CHURN)
    while True:
        answer = await desk.shop.RankProfiles(request)
        found += answer.profiles
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    chances = [each.churn.probability for each in found]
    assert chances == sorted(chances, reverse=True)
    assert len({each.profile_id for each in found}) == len(found)
    assert set(people) <= {each.profile_id for each in found}
    by_value = await desk.shop.RankProfiles(
        churn_pb2.RankProfilesRequest(page_size=500, order=churn_pb2.RANK_ORDER_VALUE, at_risk_only=True)
    )
    worth = [each.value.mean.units + each.value.mean.nanos / 1e9 for each in by_value.profiles]
    assert worth == sorted(worth, reverse=True)
    assert all(each.risk for each in by_value.profiles)


async def test_a_score_that_a_human_sets_aside_raises_no_risk_any_more(desk: Desk, model_id: str) -> None:
    who = await desk.customer(310, 300)
    raised = await until_last(desk, who, RAISED)
    review = await desk.office.RequestReview(
        score_pb2.RequestReviewRequest(
            request_id=request_id(), decision_id=raised.decision_id, ground=score_pb2.REVIEW_GROUND_WRONG_SCORE
        )
    )
    assert (review.state, review.profile_id) == (score_pb2.REVIEW_STATE_OPEN, who)
    listed = await desk.office.ListReviews(score_pb2.ListReviewsRequest(page_size=500))
    assert review in listed.reviews
    decided = await desk.office.DecideReview(
        score_pb2.DecideReviewRequest(request_id=request_id(), review_id=review.review_id, reason="known to return")
    )
    assert (decided.state, decided.decided_by) == (score_pb2.REVIEW_STATE_SET_ASIDE, "officer-1")
    assert list((await desk.explain(raised.decision_id)).reviews) == [decided]
    for review_id, reason in ((review.review_id, "REVIEW_DECIDED"), (new_id("review"), "REVIEW_NOT_FOUND")):
        with refused(reason, "review_id"):
            await desk.office.DecideReview(
                score_pb2.DecideReviewRequest(request_id=request_id(), review_id=review_id, reason="again")
            )
    await until_last(desk, who, CLEARED)


@pytest.mark.parametrize("ago", [[5], [200, 190]])
async def test_a_score_that_is_asked_for_and_the_one_that_is_told_agree(
    desk: Desk, model_id: str, ago: list[float]
) -> None:
    who = await desk.customer(*ago)
    await desk.until_serving(model_id, who)

    async def agree() -> bool:
        asked = await desk.score(who)
        told = [each for each in await desk.told(who) if type(each) is UPDATED]
        chances = [each.probability for each in asked.churn]
        return bool(told) and [each.probability for each in told[-1].churn] == pytest.approx(chances, abs=0.05)

    await eventually(agree, timeout_s=20)
