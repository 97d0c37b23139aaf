"""What a participant answers, signed: anybody who has its public keys can check that it said so."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rapport.common.v1 import privacy_pb2
from rapport_chassis.signing import PublicKey, SigningKeys
from rapport_chassis.times import stamp

from rapport_privacy.participant.holding import Answer
from rapport_privacy.participant.journal import Task
from rapport_privacy.participant.ledger import Known


def completed(
    task: Task, answer: Answer, *, participant: str, known: Known, now: datetime, keys: SigningKeys
) -> privacy_pb2.PrivacyTaskCompleted:
    """Return the signed answer to a task.

    Args:
        task: The task.
        answer: What was done.
        participant: Who did it.
        known: How far of the ledger was known.
        now: When.
        keys: What it is signed with.
    """
    message = privacy_pb2.PrivacyTaskCompleted(
        request_id=task.subject.request_id,
        task_id=task.task_id,
        participant=participant,
        kind=privacy_pb2.PrivacyTaskKind.ValueType(task.kind),
        outcome=_outcome(answer),
        stores=[
            privacy_pb2.StoreResult(store=each.store, found=each.found, acted=each.acted) for each in answer.stores
        ],
        exceptions=[
            privacy_pb2.StoreException(
                store=each.store, count=each.count, ground=each.ground, until=stamp(each.until) if each.until else None
            )
            for each in answer.kept
        ],
        closure_ids=answer.closure_ids,
        epoch=known.epoch,
        position=known.position,
        completed_at=stamp(now),
    )
    message.kid, _ = keys.sign(b"")
    while True:  # the key may be rotated between two looks at it
        kid, signature = keys.sign(_signed(message))
        if kid == message.kid:
            message.signature = signature
            return message
        message.kid = kid


def is_genuine(message: privacy_pb2.PrivacyTaskCompleted, keys: Iterable[PublicKey]) -> bool:
    """Whether an answer was signed with one of these keys and nothing in it was changed."""
    return any(key.verifies(_signed(message), message.signature) for key in keys if key.kid == message.kid)


def _signed(message: privacy_pb2.PrivacyTaskCompleted) -> bytes:
    bare = privacy_pb2.PrivacyTaskCompleted()
    bare.CopyFrom(message)
    bare.ClearField("signature")
    return bare.SerializeToString(deterministic=True)


def _outcome(answer: Answer) -> privacy_pb2.PrivacyTaskOutcome.ValueType:
    if answer.nothing_held:
        return privacy_pb2.PRIVACY_TASK_OUTCOME_NOTHING_HELD
    return privacy_pb2.PRIVACY_TASK_OUTCOME_PARTIAL if answer.kept else privacy_pb2.PRIVACY_TASK_OUTCOME_DONE
