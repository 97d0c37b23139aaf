"""Between the contract's touchpoints and the rules: what comes in, what is stored, told and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.message import Message
from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import events_pb2, ingest_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.times import moment, set_stamp

from rapport_identity.app.facts import Ingested, Outcome, RawTouchpoint, Refusal
from rapport_identity.app.stored import SourceKey, StoredFact, Submission
from rapport_identity.domain.declarations import AttributeType
from rapport_identity.domain.permission import Verdict
from rapport_identity.domain.sightings import News, Sighted
from rapport_identity.domain.touchpoints import Attribute, Touchpoint
from rapport_identity.translate.records import normal_form, submission_of

_OUTCOMES: Final = {
    Outcome.RECORDED: ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED,
    Outcome.RECORDED_IN_PART: ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED_IN_PART,
    Outcome.REFUSED: ingest_pb2.TOUCHPOINT_OUTCOME_REFUSED,
}
_OUTCOME_OF: Final[Mapping[int, Outcome]] = {number: outcome for outcome, number in _OUTCOMES.items()}


def raw_of(message: ingest_pb2.RawTouchpoint) -> RawTouchpoint:
    """Return a touchpoint as the use case takes it. What a later contract would say of it is left behind."""
    happened = message.touchpoint
    happened.DiscardUnknownFields()
    seen = {
        normal: Sighted(normal, each.kind, each.namespace, each.value)
        for each in message.identifiers
        if (normal := normal_form(each, happened.market))
    }
    return RawTouchpoint(
        SourceKey(message.source, message.source_event_id), tuple(seen.values()), touchpoint_of(happened)
    )


def touchpoint_of(message: touchpoint_pb2.Touchpoint) -> Touchpoint:
    """Return what happened."""
    kind = message.WhichOneof("type") or ""
    return Touchpoint(
        occurred_at=moment(message.occurred_at),
        type=kind,
        body=_bytes(getattr(message, kind)) if kind else b"",
        channel=message.channel,
        session_id=message.session_id,
        brand_id=message.brand_id,
        market=message.market,
        locale=message.locale,
        journey_stage=message.journey_stage,
        purpose_ids=tuple(message.purpose_ids),
        decision_ids=tuple(message.decision_ids),
        attributes=tuple(
            Attribute(
                each.key, each.data_category, AttributeType(each.WhichOneof("value") or ""), each.code, _bytes(each)
            )
            for each in message.attributes
        ),
    )


def touchpoint_message(touchpoint: Touchpoint) -> touchpoint_pb2.Touchpoint:
    """Return what happened as a message."""
    message = touchpoint_pb2.Touchpoint(
        channel=touchpoint.channel,  # type: ignore[arg-type] # the numbers are the contract's
        session_id=touchpoint.session_id,
        brand_id=touchpoint.brand_id,
        market=touchpoint.market,
        locale=touchpoint.locale,
        journey_stage=touchpoint.journey_stage,  # type: ignore[arg-type] # the numbers are the contract's
        purpose_ids=touchpoint.purpose_ids,
        decision_ids=touchpoint.decision_ids,
        attributes=[touchpoint_pb2.Attribute.FromString(each.body) for each in touchpoint.attributes],
    )
    set_stamp(message.occurred_at, touchpoint.occurred_at)
    body = getattr(message, touchpoint.type)
    body.SetInParent()
    body.MergeFromString(touchpoint.body)
    return message


def recorded_message(fact: StoredFact) -> events_pb2.TouchpointRecorded:
    """Return what is told of a fact, the first time or again."""
    message = events_pb2.TouchpointRecorded(touchpoint=touchpoint_pb2.Touchpoint.FromString(fact.payload))
    kept_for = message.touchpoint.purpose_ids
    kept_for.extend(each for each in fact.permitted if each not in kept_for)
    message.fact.fact_id = fact.fact_id
    message.fact.profile_id = fact.profile_id
    message.fact.owner_version = fact.owner_version
    set_stamp(message.recorded_at, fact.recorded_at)
    return message


def sighting(news: News, identifiers: Sequence[Sighted], recorded_at: datetime) -> Submission:
    """Return a sighting as a record. A telephone number is kept in its normal form, for markets may differ."""
    message = record_pb2.Record(
        key=record_pb2.RecordKey(source=news.key.source, source_record_id=news.key.source_record_id),
        brand_id=news.brand_id,
        market=news.market,
    )
    for each in identifiers:
        column, normal = each.normal
        message.person.identifiers.add(
            kind=each.kind,
            namespace=each.namespace,
            value=normal if column == "phones" else each.value,
        )
    return submission_of(message, recorded_at)


def sighted_in(payload: bytes) -> list[Sighted]:
    """Return the identifiers that a sighting holds."""
    message = record_pb2.Record.FromString(payload)
    return [
        Sighted(normal, each.kind, each.namespace, each.value)
        for each in message.person.identifiers
        if (normal := normal_form(each, message.market))
    ]


def ingested_message(ingested: Ingested) -> ingest_pb2.IngestedTouchpoint:
    """Return what became of a touchpoint as a message."""
    message = ingest_pb2.IngestedTouchpoint(
        outcome=_OUTCOMES[ingested.outcome],
        fact_id=ingested.fact_id,
        profile_id=ingested.profile_id,
        refused_purposes=[
            ingest_pb2.RefusedPurpose(
                purpose_id=each.purpose_id, decision=verdict_message(each.verdict) if each.verdict else None
            )
            for each in ingested.refusals
        ],
        known=ingested.known,
        unlinked=ingested.unlinked,
    )
    set_stamp(message.recorded_at, ingested.recorded_at)
    return message


def answer_bytes(ingested: Ingested) -> bytes:
    """Return an answer as it is remembered: of no profile, for that may be another by the time it is given again."""
    return _bytes(ingested_message(replace(ingested, profile_id="", known=False)))


def answer_in(stored: bytes) -> Ingested:
    """Return an answer from how it is remembered."""
    message = ingest_pb2.IngestedTouchpoint.FromString(stored)
    refusals = tuple(
        Refusal(each.purpose_id, verdict_in(each.decision) if each.HasField("decision") else None)
        for each in message.refused_purposes
    )
    return Ingested(
        _OUTCOME_OF[message.outcome],
        moment(message.recorded_at),
        message.fact_id,
        refusals=refusals,
        unlinked=message.unlinked,
    )


def verdict_message(verdict: Verdict) -> consent_pb2.Decision:
    """Return an answer of the gate as a message, which does not say whom it is about."""
    message = consent_pb2.Decision(
        answer=verdict.answer,  # type: ignore[arg-type] # the numbers are the contract's
        reason=verdict.reason,  # type: ignore[arg-type] # the numbers are the contract's
        basis=verdict.basis,  # type: ignore[arg-type] # the numbers are the contract's
        purpose_version=verdict.purpose_version,
        reference=verdict.reference,
        notice_id=verdict.notice_id,
        notice_version=verdict.notice_version,
        evidence=verdict.evidence,  # type: ignore[arg-type] # the numbers are the contract's
    )
    set_stamp(message.as_of, verdict.as_of)
    if verdict.epoch:
        message.position.epoch = verdict.epoch
        message.position.position = verdict.position
    return message


def verdict_in(message: consent_pb2.Decision) -> Verdict:
    """Return an answer of the gate from its message."""
    return Verdict(
        answer=message.answer,
        reason=message.reason,
        basis=message.basis,
        purpose_version=message.purpose_version,
        reference=message.reference,
        notice_id=message.notice_id,
        notice_version=message.notice_version,
        evidence=message.evidence,
        epoch=message.position.epoch,
        position=message.position.position,
        as_of=moment(message.as_of),
    )


def permit_of(purpose_id: str, verdict: Verdict) -> dict[str, Any]:
    """Return a permission as it is stored with the fact that rests on it."""
    return {
        "purpose": purpose_id,
        "purpose_version": verdict.purpose_version,
        "basis": verdict.basis,
        "reason": verdict.reason,
        "reference": verdict.reference,
        "notice": f"{verdict.notice_id}@{verdict.notice_version}" if verdict.notice_id else "",
        "epoch": verdict.epoch,
        "position": verdict.position,
        "as_of": verdict.as_of.astimezone(UTC).isoformat(),
    }


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
