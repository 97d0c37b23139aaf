"""A contested decision is looked at by a human where it was made, and the person is told what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeAlias

import pytest
from consent_desk import OFFICER, request_id
from consent_privacy_desk import COMPLETED, SECOND, PrivacyDesk, contest
from consent_privacy_rig import OFFICE, PrivacyRig
from rapport.churn.v1 import churn_pb2, churn_pb2_grpc, score_pb2
from rapport.consent.v1 import privacy_pb2
from rapport.consent.v1.privacy_request_pb2 import PRIVACY_RIGHT_CONTEST, PrivacyRequest
from rapport_chassis.ids import new_id
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.xdist_group("privacy")  # one worker starts what all of them share

REVIEWER = "analyst-1"


Scores: TypeAlias = "churn_pb2_grpc.ChurnServiceAsyncStub"


@pytest.fixture
async def scores(privacy_rig: PrivacyRig) -> AsyncIterator[Scores]:
    """Where an analyst answers the reviews of the participant that decides about people."""
    client = privacy_rig.calls_to("churn")
    token = privacy_rig.installation.actor_token(OFFICE, subject=REVIEWER, roles=[OFFICER], audience="churn")
    try:
        yield client.stub(churn_pb2_grpc.ChurnServiceStub, actor_token=token)
    finally:
        await client.close()


async def contested(desk: PrivacyDesk, rig: PrivacyRig, decision_id: str, about: str = "") -> str:
    """A request of somebody who contests a decision about them, or about another; approved."""
    email, (person,) = rig.somebody()
    rig.note("churn", about or person, decision_id)
    asked = (await desk.create(email=email, rights=[contest(decision_id)])).privacy_request_id
    await desk.login(asked, person)
    await desk.approve(asked)
    return asked


async def asked_for(desk: PrivacyDesk, asked: str) -> str:
    """The review that was asked for."""

    async def there() -> str:
        (right,) = (await desk.get(asked)).rights
        return right.review_id

    return await eventually(there, 60, 0.1)


async def letter(desk: PrivacyDesk, done: PrivacyRequest) -> str:
    """What the person is told in the end."""
    preview = privacy_pb2.PreviewLetterRequest(
        privacy_request_id=done.privacy_request_id, kind="COMPLETION", locale="en"
    )
    return (await desk.first.PreviewLetter(preview)).text


@pytest.mark.parametrize(("confirmed", "outcome", "told"), [(False, "CHANGED", "changed"), (True, "UPHELD", "stays")])
async def test_who_made_the_decision_reviews_it_and_the_person_is_told_what_came_of_it(
    privacy_desk: PrivacyDesk,
    privacy_rig: PrivacyRig,
    scores: Scores,
    confirmed: bool,
    outcome: str,
    told: str,
) -> None:
    decision = new_id("decision")
    asked = await contested(privacy_desk, privacy_rig, decision)
    review_id = await asked_for(privacy_desk, asked)
    assert (await privacy_desk.held_up(asked, "REVIEW_AWAITED", "REVIEW")).next_action == "REVIEW"
    explained = await scores.ExplainScore(churn_pb2.ExplainScoreRequest(decision_id=decision))
    assert [each.review_id for each in explained.reviews] == [review_id]
    await scores.DecideReview(
        score_pb2.DecideReviewRequest(
            request_id=request_id(), review_id=review_id, confirmed=confirmed, reason="looked at"
        )
    )
    done = await privacy_desk.until(asked, COMPLETED)
    (right,) = done.rights
    assert (right.outcome, right.reviewed_by) == (outcome, REVIEWER)
    text = await letter(privacy_desk, done)
    assert told in text
    assert "We have done what you asked" not in text


async def test_officers_review_what_was_decided_about_somebody_else(
    privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig
) -> None:
    _, (other,) = privacy_rig.somebody()
    asked = await contested(privacy_desk, privacy_rig, new_id("decision"), other)
    await privacy_desk.held_up(asked, "REVIEW_AWAITED", "REVIEW")
    await privacy_desk.second.DecideReviewOfRight(
        privacy_pb2.DecideReviewOfRightRequest(
            request_id=request_id(),
            privacy_request_id=asked,
            right=PRIVACY_RIGHT_CONTEST,
            changed=False,
            effect="It was not about you.",
            reason="looked at",
        )
    )
    done = await privacy_desk.until(asked, COMPLETED)
    (right,) = done.rights
    assert (right.outcome, right.reviewed_by, right.review_id) == ("UPHELD", SECOND, "")
    assert right.effect in await letter(privacy_desk, done)
