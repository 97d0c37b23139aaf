"""Mutations take effect once: the answer is kept, in the same transaction, under the caller's request id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import Message
from rapport.identity.v1 import identity_pb2
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.rpc.pipeline import current_call

from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.records import TakeInRecords, in_parts
from rapport_identity.app.stored import Submission
from rapport_identity.app.units import Deed, Request
from rapport_identity.entrypoints.paths import under
from rapport_identity.translate.answers import resolved_message

AnswerT = TypeVar("AnswerT", bound=Message)


class Asked(NamedTuple):
    """One call of ResolveRecord: the request, and the record in it."""

    request: Request
    submission: Submission


class Once:
    """Runs mutations, each in one transaction with its request id and, where a human stands behind it, its audit entry.

    Args:
        partition: What is changed.
        records: Takes in records.
    """

    def __init__(self, partition: Partition, records: TakeInRecords) -> None:
        self._partition = partition
        self._records = records

    async def run(
        self,
        request: Any,
        answer_class: type[AnswerT],
        effect: Callable[[Session], Awaitable[AnswerT]],
        *,
        target: str,
        reason: str = "",
    ) -> AnswerT:
        """Return the effect's answer, or the one given before under this request id.

        Args:
            request: The request, with its `request_id`.
            answer_class: Class of the answer.
            effect: Decides in the session it is given.
            target: What it acts upon, for the audit trail; names no person.
            reason: Why, for the audit trail.

        Raises:
            RapportError: REQUEST_ID_REUSED, NOT_READY, or why the effect was refused.
        """
        key = request_of(request)
        async with self._partition.session() as session:
            (earlier,) = await session.unit.earlier([key])
            if isinstance(earlier, RapportError):
                raise earlier
            if earlier is not None:
                return answer_class.FromString(earlier)
            answer = await effect(session)
            if (deed := deed_of(target, reason)) is not None:
                await session.unit.audit(deed)
            await session.unit.keep([(key, answer.SerializeToString())])
        return answer

    async def resolve(self, asked: Sequence[Asked]) -> list[identity_pb2.ResolvedRecord | RapportError]:
        """Answer a batch of calls of ResolveRecord, in one transaction where none must be left out.

        Raises:
            RapportError: NOT_READY.
        """
        return await in_parts(self._resolve, asked)

    async def _resolve(self, asked: Sequence[Asked]) -> list[identity_pb2.ResolvedRecord | RapportError]:
        async with self._partition.session() as session:
            earlier = await session.unit.earlier([each.request for each in asked])
            fresh = {each.request: each.submission for each, known in zip(asked, earlier, strict=True) if known is None}
            resolved = await self._records.within(session, list(fresh.values()))
            answers = {
                request: under(each, "record") if isinstance(each, RapportError) else resolved_message(each)
                for request, each in zip(fresh, resolved, strict=True)
            }
            kept = [(request, each) for request, each in answers.items() if not isinstance(each, RapportError)]
            await session.unit.keep([(request, answer.SerializeToString()) for request, answer in kept])
        return [
            identity_pb2.ResolvedRecord.FromString(known)
            if isinstance(known, bytes)
            else known or answers[each.request]
            for each, known in zip(asked, earlier, strict=True)
        ]


def request_of(request: Any) -> Request:
    """Return the call that is under way, as one that takes effect once."""
    call = current_call()
    body = request.SerializeToString(deterministic=True)
    return Request(call.caller, call.method.full_name, request.request_id, body)


def deed_of(target: str, reason: str) -> Deed | None:
    """Return what the operator behind the call does; None if there is none."""
    call = current_call()
    if call.actor is None:
        return None
    return Deed(call.actor.subject, call.caller, call.method.full_name, target, reason)


def actor() -> str:
    """Return the subject of the operator behind the call.

    Raises:
        RapportError: ACTOR_TOKEN_MISSING; the contract marks such methods, so that none gets here.
    """
    call = current_call()
    if call.actor is None:
        raise CHASSIS_ERRORS.error("ACTOR_TOKEN_MISSING", "an operator must stand behind this call")
    return call.actor.subject
