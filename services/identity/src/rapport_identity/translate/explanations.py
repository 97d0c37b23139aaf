"""Explanations and reviews as messages of the contract."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Final

from rapport.identity.v1 import explanation_pb2, steward_pb2
from rapport_chassis.times import stamp

from rapport_identity.app.explain import ExplainedMatch, ExplainedProfile, Origin
from rapport_identity.app.reviews import Review, ReviewVerdict
from rapport_identity.domain.evidence import ComparisonBits, Counterfactual, Verdict
from rapport_identity.domain.explaining import KeptApart
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.reviews import ReviewCause
from rapport_identity.domain.surroundings import Decider
from rapport_identity.domain.tree import TreeJoin
from rapport_identity.translate.answers import key_message

_VERDICTS: Final = {
    Verdict.TOGETHER: explanation_pb2.MATCH_VERDICT_TOGETHER,
    Verdict.APART: explanation_pb2.MATCH_VERDICT_APART,
}
_DECIDERS: Final = {
    Decider.EVIDENCE: explanation_pb2.MATCH_DECIDER_EVIDENCE,
    Decider.COMPANY: explanation_pb2.MATCH_DECIDER_COMPANY,
    Decider.CONSTRAINT: explanation_pb2.MATCH_DECIDER_CONSTRAINT,
    Decider.CONFLICT: explanation_pb2.MATCH_DECIDER_CONFLICT,
    Decider.SHARED_IDENTIFIER: explanation_pb2.MATCH_DECIDER_SHARED_IDENTIFIER,
    Decider.NOT_COMPARED: explanation_pb2.MATCH_DECIDER_NOT_COMPARED,
    Decider.COMPONENT_CUT: explanation_pb2.MATCH_DECIDER_COMPONENT_CUT,
}
_CAUSES: Final = {
    ReviewCause.CLOSE_CALL: steward_pb2.REVIEW_CAUSE_CLOSE_CALL,
    ReviewCause.CONTRADICTION: steward_pb2.REVIEW_CAUSE_CONTRADICTION,
    ReviewCause.COMPONENT_CUT: steward_pb2.REVIEW_CAUSE_COMPONENT_CUT,
}
VERDICTS: Final = {
    steward_pb2.REVIEW_VERDICT_SAME: ReviewVerdict.SAME,
    steward_pb2.REVIEW_VERDICT_DIFFERENT: ReviewVerdict.DIFFERENT,
    steward_pb2.REVIEW_VERDICT_UNDECIDED: ReviewVerdict.UNDECIDED,
}
"""What stewards answer, by the contract's numbers."""

_ANSWERS: Final = {verdict: number for number, verdict in VERDICTS.items()}


def weights_messages(weights: Iterable[ComparisonBits]) -> list[explanation_pb2.ComparisonWeight]:
    """Return what comparisons say as messages."""
    return [
        explanation_pb2.ComparisonWeight(
            comparison=each.comparison, level=each.level, bits=each.bits, frequency_bits=each.frequency_bits
        )
        for each in weights
    ]


def match_message(explained: ExplainedMatch) -> explanation_pb2.MatchExplanation:
    """Return why two records do or do not match as a message."""
    found, decided = explained.explanation.evidence, explained.explanation.decided
    return explanation_pb2.MatchExplanation(
        matcher_id=explained.matcher_id,
        prior_bits=found.prior,
        weights=weights_messages(found.weights),
        score_bits=found.score,
        join_bits=explained.matcher.join,
        fracture_bits=explained.matcher.fracture,
        verdict=_VERDICTS[decided.verdict],
        decided_by=_DECIDERS[decided.by],
        constraint_id=decided.constraint_id,
        conflicts=found.conflicts,
        counterfactual=_counterfactual(explained.explanation.counterfactual),
    )


def profile_explanation(explained: ExplainedProfile) -> explanation_pb2.ProfileExplanation:
    """Return how a profile came together as a message."""
    tree = explained.tree
    return explanation_pb2.ProfileExplanation(
        profile_id=explained.profile_id,
        matcher_id=explained.matcher_id,
        leaves=[_leaf(key, origin) for key, origin in zip(tree.leaves, explained.origins, strict=True)],
        joins=[_join(each) for each in tree.joins],
        weakest_join=tree.weakest,
        kept_apart=[_kept_apart(each, profile_id) for each, profile_id in explained.kept_apart],
    )


def review_message(
    review: Review,
    keys: tuple[RecordKey, RecordKey],
    profile_ids: tuple[str, str],
    explained: ExplainedMatch,
) -> steward_pb2.Review:
    """Return a review as a message."""
    message = steward_pb2.Review(
        review_id=review.review_id,
        cause=_CAUSES[review.cause],
        first=key_message(keys[0]),
        second=key_message(keys[1]),
        first_profile_id=profile_ids[0],
        second_profile_id=profile_ids[1],
        explanation=match_message(explained),
        expected_gain=review.gain,
        created_at=stamp(review.created_at),
        decided_by=review.decided_by,
    )
    if review.verdict is not None and review.decided_at is not None:
        message.verdict = _ANSWERS[review.verdict]
        message.decided_at.CopyFrom(stamp(review.decided_at))
    return message


def _counterfactual(found: Counterfactual) -> explanation_pb2.Counterfactual:
    changes = [
        explanation_pb2.LevelChange(
            comparison=each.comparison, from_level=each.from_level, to_level=each.to_level, bits=each.bits
        )
        for each in found.changes
    ]
    return explanation_pb2.Counterfactual(changes=changes, score_bits=found.score, verdict=_VERDICTS[found.verdict])


def _leaf(key: RecordKey, origin: Origin) -> explanation_pb2.TreeLeaf:
    return explanation_pb2.TreeLeaf(
        record=key_message(key), recorded_under=origin.recorded_under, recorded_at=stamp(origin.recorded_at)
    )


def _join(join: TreeJoin) -> explanation_pb2.TreeJoin:
    left, right, bits = join.strongest
    assert isfinite(join.average)
    return explanation_pb2.TreeJoin(
        left=join.left,
        right=join.right,
        average_bits=join.average,
        pairs=join.pairs,
        strongest_left=left,
        strongest_right=right,
        strongest_bits=bits,
        decided_by=_DECIDERS[join.decided.by],
        constraint_id=join.decided.constraint_id,
    )


def _kept_apart(kept: KeptApart, profile_id: str) -> explanation_pb2.KeptApart:
    return explanation_pb2.KeptApart(
        inside=key_message(kept.inside.key),
        outside=key_message(kept.outside.key),
        profile_id=profile_id,
        score_bits=kept.score,
        decided_by=_DECIDERS[kept.decided.by],
        constraint_id=kept.decided.constraint_id,
    )
