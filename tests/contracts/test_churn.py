"""Requests of churn as callers send them, and what its answers may not hold."""

from __future__ import annotations

from typing import Any

import pytest
from contract_words import faults, methods, parsed, reachable
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from rapport.churn.v1 import churn_pb2, events_pb2, model_pb2, monitoring_pb2, score_pb2
from rapport.common.v1 import access_pb2

FILES = (churn_pb2.DESCRIPTOR, model_pb2.DESCRIPTOR)
REQUEST_ID = "3f0c1a52-6f3e-4a33-9d42-0a8f6f1a1b01"
PROFILE = "prf_00000001"
DECISION = "dec_00000001"
MODEL = "mdl_00000001"
AT = "2026-01-02T03:04:05Z"
REVIEW = {"request_id": REQUEST_ID, "decision_id": DECISION, "ground": "REVIEW_GROUND_UNFAIR"}
PROMOTION = {"request_id": REQUEST_ID, "model_id": MODEL, "role": "MODEL_ROLE_CHAMPION", "reason": "weekly"}
# The design's table, and what the implementation added to it.
METHODS = {
    "ChurnService": "ScoreProfile BatchScoreProfiles ExplainScore RequestReview GetFeatures RankProfiles",
    "ModelService": "TrainModel ListModels GetModel PromoteModel GetMonitoringReport",
}
FOR_HUMANS = {"DecideReview", "PromoteModel"}


def test_every_method_of_the_design_is_there() -> None:
    stated = {(one.containing_service.name, one.name) for one in methods(FILES)}
    assert {(service, name) for service, listed in METHODS.items() for name in listed.split()} <= stated


def test_what_changes_who_serves_or_answers_a_person_needs_a_human() -> None:
    human = {one.name for one in methods(FILES) if one.GetOptions().Extensions[access_pb2.access].human}
    assert human == FOR_HUMANS


def test_scores_are_asked_for_under_the_same_permission_one_by_one_or_many_at_once() -> None:
    permissions = {one.name: one.GetOptions().Extensions[access_pb2.access].permission for one in methods(FILES)}
    assert permissions["ScoreProfile"] == permissions["BatchScoreProfiles"]
    assert permissions["ScoreProfile"] not in {permissions["GetFeatures"], permissions["ExplainScore"]}


def test_an_answer_about_one_customer_names_that_customer_alone() -> None:
    for name in ("Score", "FeatureVector"):
        inside = reachable(score_pb2.DESCRIPTOR.message_types_by_name[name])
        named = {
            field.full_name
            for message in inside
            for field in message.fields
            if "profile_id" in field.name and field.type == FieldDescriptor.TYPE_STRING
        }
        assert named == {f"rapport.churn.v1.{name}.profile_id"} | (
            {"rapport.consent.v1.Decision.current_profile_id"} if name == "Score" else set()
        )


def test_a_monitoring_report_names_nobody() -> None:
    inside = reachable(monitoring_pb2.MonitoringReport.DESCRIPTOR)
    assert not [field.full_name for one in inside for field in one.fields if "profile" in field.name]


def test_a_score_and_its_event_speak_of_chances_in_the_same_message() -> None:
    score = score_pb2.Score.DESCRIPTOR.fields_by_name
    event = events_pb2.ScoreUpdated.DESCRIPTOR.fields_by_name
    for field in ("churn", "repurchase", "value", "reasons"):
        assert score[field].message_type is event[field].message_type


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (churn_pb2.ScoreProfileRequest, {"profile_id": PROFILE}),
        (
            churn_pb2.ScoreProfileRequest,
            {"profile_id": PROFILE, "brand_id": "north", "market": "DE-BY", "at_least": {"epoch": "e", "position": 4}},
        ),
        (churn_pb2.BatchScoreProfilesRequest, {"profile_ids": [PROFILE] * 1000}),
        (churn_pb2.ExplainScoreRequest, {"decision_id": DECISION}),
        (churn_pb2.GetFeaturesRequest, {"profile_id": PROFILE, "as_of": AT}),
        (churn_pb2.RankProfilesRequest, {}),
        (score_pb2.RequestReviewRequest, REVIEW),
        (score_pb2.DecideReviewRequest, {"request_id": REQUEST_ID, "review_id": "rvw_00000001", "reason": "checked"}),
        (model_pb2.TrainModelRequest, {"request_id": REQUEST_ID, "seed": 7, "arrival_assumed_before": AT}),
        (model_pb2.GetModelRequest, {}),
        (model_pb2.GetModelRequest, {"model_id": MODEL}),
        (model_pb2.GetModelRequest, {"role": "MODEL_ROLE_CHALLENGER", "as_of": AT}),
        (model_pb2.PromoteModelRequest, PROMOTION),
        (monitoring_pb2.GetMonitoringReportRequest, {"window_days": 90}),
    ],
)
def test_a_good_request_passes(kind: type[Message], given: dict[str, Any]) -> None:
    assert faults(parsed(kind, given)) == set()


@pytest.mark.parametrize(
    ("kind", "given", "fault"),
    [
        (churn_pb2.ScoreProfileRequest, {}, "profile_id"),
        (churn_pb2.ScoreProfileRequest, {"profile_id": "someone@example.org"}, "profile_id"),
        (churn_pb2.ScoreProfileRequest, {"profile_id": PROFILE, "market": "Germany"}, "market"),
        (churn_pb2.ScoreProfileRequest, {"profile_id": PROFILE, "at_least": {"position": 4}}, "at_least.epoch"),
        (churn_pb2.BatchScoreProfilesRequest, {"profile_ids": []}, "profile_ids"),
        (churn_pb2.BatchScoreProfilesRequest, {"profile_ids": [PROFILE] * 1001}, "profile_ids"),
        (churn_pb2.BatchScoreProfilesRequest, {"profile_ids": [PROFILE, "4711"]}, "profile_ids"),
        (churn_pb2.ExplainScoreRequest, {"decision_id": PROFILE}, "decision_id"),
        (churn_pb2.GetFeaturesRequest, {"profile_id": ""}, "profile_id"),
        (churn_pb2.RankProfilesRequest, {"page_size": -1}, "page_size"),
        (churn_pb2.RankProfilesRequest, {"order": 77}, "order"),
        (score_pb2.RequestReviewRequest, REVIEW | {"ground": 0}, "ground"),
        (score_pb2.RequestReviewRequest, REVIEW | {"request_id": "1"}, "request_id"),
        (score_pb2.DecideReviewRequest, {"request_id": REQUEST_ID, "review_id": "rvw_00000001"}, "reason"),
        (model_pb2.TrainModelRequest, {"request_id": ""}, "request_id"),
        (model_pb2.TrainModelRequest, {"request_id": REQUEST_ID, "seed": 2**53}, "seed"),
        (model_pb2.GetModelRequest, {"model_id": MODEL, "as_of": AT}, "model.named"),
        (model_pb2.GetModelRequest, {"model_id": MODEL, "role": "MODEL_ROLE_CHAMPION"}, "model.named"),
        (model_pb2.PromoteModelRequest, PROMOTION | {"role": 0}, "role"),
        (model_pb2.PromoteModelRequest, PROMOTION | {"role": 9}, "role"),
        (model_pb2.PromoteModelRequest, PROMOTION | {"reason": "it's\nbetter"}, "reason"),
        (monitoring_pb2.GetMonitoringReportRequest, {"window_days": 4000}, "window_days"),
    ],
)
def test_a_malformed_request_is_refused_by_field(kind: type[Message], given: dict[str, Any], fault: str) -> None:
    assert faults(parsed(kind, given)) == {fault}
