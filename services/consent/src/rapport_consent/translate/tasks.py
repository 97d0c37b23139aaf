"""Answers of participants <-> what the saga knows of them."""

from __future__ import annotations

from datetime import datetime

from rapport.common.v1 import privacy_pb2
from rapport.consent.v1 import privacy_pb2 as consent_pb2
from rapport_chassis.times import moment, stamp

from rapport_consent.domain.holds import HeldRecords, Hold
from rapport_consent.domain.tasks import AskedTask, Kept, StoreCount, TaskAnswer, TaskKind, TaskOutcome


def answer_of(message: privacy_pb2.PrivacyTaskCompleted) -> TaskAnswer:
    """Return the answer in a message, exactly as it was signed kept beside it."""
    return TaskAnswer(
        task_id=message.task_id,
        participant=message.participant,
        outcome=TaskOutcome(message.outcome),
        completed_at=moment(message.completed_at),
        stores=tuple(StoreCount(each.store, each.found, each.acted) for each in message.stores),
        kept=tuple(
            Kept(each.store, each.count, each.ground, moment(each.until) if each.HasField("until") else None)
            for each in message.exceptions
        ),
        closure_ids=tuple(message.closure_ids),
        signed=message.SerializeToString(deterministic=True),
        kid=message.kid,
    )


def confirmed(
    *,
    request_id: str,
    task_id: str,
    participant: str,
    kind: TaskKind,
    outcome: int,
    stores: list[privacy_pb2.StoreResult],
    exceptions: list[privacy_pb2.StoreException],
    now: datetime,
) -> privacy_pb2.PrivacyTaskCompleted:
    """Return what people confirmed to have done, as a message like those of services, but signed by nobody."""
    return privacy_pb2.PrivacyTaskCompleted(
        request_id=request_id,
        task_id=task_id,
        participant=participant,
        kind=privacy_pb2.PrivacyTaskKind.ValueType(int(kind)),
        outcome=privacy_pb2.PrivacyTaskOutcome.ValueType(outcome),
        stores=stores,
        exceptions=exceptions,
        completed_at=stamp(now),
    )


def confirmed_task(
    task: AskedTask, told: consent_pb2.CompleteManualTaskRequest, now: datetime
) -> privacy_pb2.PrivacyTaskCompleted:
    """Return what an operator told of a task as such a message."""
    return confirmed(
        request_id=task.request_id,
        task_id=task.task_id,
        participant=task.participant,
        kind=task.kind,
        outcome=told.outcome,
        stores=list(told.stores),
        exceptions=list(told.exceptions),
        now=now,
    )


def hold_message(hold: Hold) -> privacy_pb2.LegalHold:
    """Return a hold as participants are told of it."""
    return privacy_pb2.LegalHold(
        hold_id=hold.id,
        ground=hold.ground,
        records=[
            privacy_pb2.HeldRecords(participant=each.participant, store=each.store, record_ids=each.record_ids)
            for each in hold.records
        ],
    )


def held_of(message: privacy_pb2.LegalHold) -> tuple[HeldRecords, ...]:
    """Return what a hold keeps."""
    return tuple(HeldRecords(each.participant, each.store, tuple(each.record_ids)) for each in message.records)
