"""Explanations, reviews and the life of matchers over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from identity_desk import (
    EMAIL,
    Desk,
    IdentityInstallation,
    identifier,
    record,
    request_id,
)
from identity_office import Office, exact, model, open_office
from rapport.identity.v1 import explanation_pb2, matcher_pb2, record_pb2, steward_pb2
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

EVERY_CHANGE = 1000
"""Most that may be asked for: other tests leave profiles in the same installation that a matcher would change too."""

TOGETHER, APART = explanation_pb2.MATCH_VERDICT_TOGETHER, explanation_pb2.MATCH_VERDICT_APART


@pytest.fixture
async def office(installation: IdentityInstallation, desk: Desk) -> AsyncIterator[Office]:
    async with open_office(installation) as opened:
        yield opened


def pair() -> tuple[record_pb2.Record, record_pb2.Record]:
    """Two records of one person whom nobody else is like."""
    name, address = f"Zora {uuid4().hex[:8].translate(str.maketrans('0123456789', 'ghijklmnop'))}", uuid4().hex[:11]
    return tuple(record(name, identifier(EMAIL, f"m{address}@posteo.net")) for _ in range(2))  # type: ignore[return-value]


async def explained(
    desk: Desk, one: record_pb2.Record, other: record_pb2.Record, matcher_id: str = ""
) -> explanation_pb2.MatchExplanation:
    return await desk.office.ExplainMatch(
        explanation_pb2.ExplainMatchRequest(first=one.key, second=other.key, matcher_id=matcher_id)
    )


async def test_a_match_is_explained_by_bits_that_sum_and_a_profile_by_a_tree_that_replays(
    desk: Desk, office: Office
) -> None:
    one, other = pair()
    held = await desk.resolve(one)
    assert (await desk.resolve(other)).profile_id == held.profile_id
    why = await explained(desk, one, other)
    assert (why.verdict, why.decided_by) == (TOGETHER, explanation_pb2.MATCH_DECIDER_EVIDENCE)
    assert why.prior_bits + sum(each.bits for each in why.weights) == pytest.approx(why.score_bits, abs=1e-9)
    assert why.counterfactual.verdict == APART
    assert why.counterfactual.changes
    assert not {one.person.names[0].surname.casefold(), "posteo"} & set(str(why).casefold().split('"'))
    how = await desk.office.ExplainProfile(explanation_pb2.ExplainProfileRequest(profile_id=held.profile_id))
    assert {leaf.record.source_record_id for leaf in how.leaves} == {
        one.key.source_record_id,
        other.key.source_record_id,
    }
    (join,) = how.joins
    assert (join.left, join.right, how.weakest_join) == (0, 1, 0)
    assert join.average_bits == pytest.approx(why.score_bits)
    assert (
        how.matcher_id
        == why.matcher_id
        == (await office.matchers.GetMatcher(matcher_pb2.GetMatcherRequest())).matcher_id
    )
    with refused("RECORD_NOT_FOUND", "second"):
        await explained(desk, one, record("Nobody"))


async def test_a_ban_is_named_as_what_decided_and_the_steward_who_answers_a_review_is_obeyed(desk: Desk) -> None:
    one, other = pair()
    await desk.resolve(one)
    held = (await desk.resolve(other)).profile_id
    made = await desk.split(held, [other.key])
    why = await explained(desk, one, other)
    assert (why.verdict, why.constraint_id) == (APART, made.constraint.constraint_id)
    father, son = (
        record(f"John Larsen{uuid4().hex[:6].translate(str.maketrans('0123456789', 'ghijklmnop'))}") for _ in range(2)
    )
    son.person.names[0].surname = father.person.names[0].surname
    address = f"m{uuid4().hex[:11]}@posteo.net"
    for each, suffix in ((father, "Sr"), (son, "Jr")):
        each.person.names[0].surname += f" {suffix}"
        each.person.identifiers.append(identifier(EMAIL, address))
        each.person.birth_date.year = 1980
        await desk.resolve(each)
    profile_id = (await desk.resolve(son)).profile_id

    async def asked() -> steward_pb2.Review | None:
        listed = await desk.office.ListReviews(steward_pb2.ListReviewsRequest(profile_id=profile_id))
        return listed.reviews[0] if listed.reviews else None

    review = await eventually(asked, timeout_s=30)
    assert review is not None
    assert review.cause == steward_pb2.REVIEW_CAUSE_CONTRADICTION
    assert list(review.explanation.conflicts) == ["generation.differs"]
    request = steward_pb2.DecideReviewRequest(
        request_id=request_id(), review_id=review.review_id, verdict=steward_pb2.REVIEW_VERDICT_SAME, reason="one man"
    )
    decided = await desk.office.DecideReview(request)
    assert await desk.office.DecideReview(request) == decided
    assert decided.review.first_profile_id == decided.review.second_profile_id
    assert decided.review.decided_by == "officer-1"
    assert decided.decision.constraint.review_id == review.review_id
    listed = await desk.office.ListReviews(steward_pb2.ListReviewsRequest(profile_id=profile_id, decided=True))
    assert [each.review_id for each in listed.reviews] == [review.review_id]
    assert listed.reviews[0].explanation.decided_by == explanation_pb2.MATCH_DECIDER_CONSTRAINT


async def test_an_imported_model_is_previewed_activated_and_rolled_back_while_all_is_served(
    desk: Desk, office: Office
) -> None:
    one, other = pair()
    held = (await desk.resolve(one)).profile_id
    assert (await desk.resolve(other)).profile_id == held
    shipped = await office.until_active("")
    named = request_id()
    weights = model(exact("birth_place"), exact("surname", tf_adjustment_column="surname"))
    terms = [("surname", "smith", 0.01)]
    made = await office.import_model(weights, terms, named, join=200.0)
    assert await office.import_model(weights, terms, named, join=200.0) == made
    assert (made.state, made.origin) == (matcher_pb2.MATCHER_STATE_READY, matcher_pb2.MATCHER_ORIGIN_IMPORTED)
    assert [each.frequencies for each in made.comparisons] == [0, 1]
    assert (await explained(desk, one, other, made.matcher_id)).verdict == APART
    with refused("PREVIEW_NEEDED"):
        await office.activate(made.matcher_id, most=10**9)
    operation = await office.ended(
        await office.matchers.PreviewMatcher(
            matcher_pb2.PreviewMatcherRequest(
                request_id=request_id(), matcher_id=made.matcher_id, max_changes=EVERY_CHANGE
            )
        )
    )
    preview = matcher_pb2.MatcherPreview()
    assert operation.response.Unpack(preview), operation
    assert preview.against_matcher_id == shipped.matcher_id
    assert preview.splits >= 1
    assert preview.profiles_after > preview.profiles_before
    assert held in [each for change in preview.changes for each in change.profile_ids]
    with refused("TOO_MANY_MOVED", "max_records_moved"):
        await office.activate(made.matcher_id, most=0)
    await office.activate(made.matcher_id, most=preview.records_moved)
    active = await office.until_active(made.matcher_id)
    assert active.activated_by == "officer-1"
    apart = {(await desk.resolve(each)).profile_id for each in (one, other)}
    assert len(apart) == 2
    assert held in apart
    await office.activate(shipped.matcher_id)
    await office.until_active(shipped.matcher_id)
    assert {(await desk.resolve(each)).profile_id for each in (one, other)} == {held}
    listed = await office.matchers.ListMatchers(matcher_pb2.ListMatchersRequest())
    assert {shipped.matcher_id, made.matcher_id} <= {each.matcher_id for each in listed.matchers}
    assert not any(each.comparisons for each in listed.matchers)


async def test_a_model_that_cannot_be_weighed_here_is_refused_by_the_name_of_its_level(office: Office) -> None:
    strange = exact("surname")
    strange["comparison_levels"][1]["sql_condition"] = "soundex(surname_l) = soundex(surname_r)"
    with refused("MATCHER_UNTRANSLATABLE", "splink_model") as caught:
        await office.import_model(model(strange), [])
    assert "Exact match on surname" in caught.value.message
    with refused("MATCHER_UNTRANSLATABLE"):
        await office.import_model(model(exact("shoe_size")), [])
    with refused("MATCHER_UNTRANSLATABLE"):
        await office.import_model({"comparisons": 7}, [])


async def test_a_matcher_is_trained_on_what_is_held_and_kept_without_effect(desk: Desk, office: Office) -> None:
    pytest.importorskip("splink", reason="training needs rapport-identity[train]")
    batch = [each for _ in range(120) for each in pair()]
    await desk.load(batch)
    before = (await office.matchers.GetMatcher(matcher_pb2.GetMatcherRequest())).matcher_id
    operation = await office.ended(
        await office.matchers.TrainMatcher(matcher_pb2.TrainMatcherRequest(request_id=request_id(), seed=1))
    )
    trained = matcher_pb2.Matcher()
    assert operation.response.Unpack(trained), operation
    assert (trained.origin, trained.state) == (matcher_pb2.MATCHER_ORIGIN_TRAINED, matcher_pb2.MATCHER_STATE_READY)
    assert trained.trained_on >= len(batch)
    assert (await office.matchers.GetMatcher(matcher_pb2.GetMatcherRequest())).matcher_id == before
    progress = matcher_pb2.MatcherWorkMetadata()
    assert operation.metadata.Unpack(progress)
    assert progress.phase == matcher_pb2.MATCHER_WORK_PHASE_CHECKING
