"""Mutations take effect once: the answer is kept, in the same transaction, under the caller's request id.

What a human did is entered into the audit trail in that transaction too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from google.protobuf.message import Message

from rapport_chassis.audit import AuditTrail
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.idempotency import RequestLog
from rapport_chassis.rpc.pipeline import current_call

AnswerT = TypeVar("AnswerT", bound=Message)
ScopeT = TypeVar("ScopeT")


class Request(NamedTuple):
    """A call that takes effect once, however often it is made.

    Attributes:
        caller: URI of the caller's certificate.
        method: Full name of the method.
        request_id: A UUID.
        body: The request, serialised.
    """

    caller: str
    method: str
    request_id: str
    body: bytes


class Deed(NamedTuple):
    """What a person did, for the audit trail: subject, certificate, method, what it was done to, and why."""

    actor: str
    caller: str
    action: str
    target: str
    reason: str


class CallRecords(Protocol):
    """What a transaction keeps of the calls it answers."""

    async def earlier(self, requests: Sequence[Request]) -> list[bytes | RapportError | None]:
        """Return what each was answered before: None if it is new, REQUEST_ID_REUSED if its id came with another body.

        Of two transactions that ask for one request at the same time, only one may go on as if it were new.
        """
        ...

    async def keep(self, answers: Sequence[tuple[Request, bytes]]) -> None:
        """Keep what requests are answered."""
        ...

    async def audit(self, deed: Deed) -> None:
        """Enter into the audit trail what is done in this transaction."""
        ...


class LoggedCalls:
    """`CallRecords` by the request log and the audit trail, for transactions that need not wait for one another.

    Args:
        connection: In the transaction of the effect.
        requests: Keeps the answers.
        trail: The audit trail.
    """

    def __init__(self, connection: Connection, requests: RequestLog, trail: AuditTrail) -> None:
        self._connection = connection
        self._requests = requests
        self._trail = trail

    async def earlier(self, requests: Sequence[Request]) -> list[bytes | RapportError | None]:
        """Return what each was answered before.

        Raises:
            RapportError: REQUEST_ID_REUSED, REQUEST_IN_PROGRESS.
        """
        return [await self._requests.begin(self._connection, **each._asdict()) for each in requests]

    async def keep(self, answers: Sequence[tuple[Request, bytes]]) -> None:
        """Keep what requests are answered.

        Raises:
            RapportError: REQUEST_IN_PROGRESS: another transaction was faster; this one must not be committed.
        """
        for request, answer in answers:
            await self._requests.finish(self._connection, **request._asdict(), answer=answer)

    async def audit(self, deed: Deed) -> None:
        """Enter into the audit trail what is done in this transaction."""
        await self._trail.append(self._connection, **deed._asdict(), outcome="allowed")


class Once(Generic[ScopeT]):
    """Runs mutations, each in one transaction with its request id and, where a human stands behind it, its audit entry.

    Args:
        scope: Gives what effects work in: committed at the end of the block, undone on an error.
        records: Returns what the transaction of a scope keeps.
    """

    def __init__(
        self, scope: Callable[[], AbstractAsyncContextManager[ScopeT]], records: Callable[[ScopeT], CallRecords]
    ) -> None:
        self._scope = scope
        self._records = records

    async def run(
        self,
        request: Any,
        answer_class: type[AnswerT],
        effect: Callable[[ScopeT], Awaitable[AnswerT]],
        *,
        target: str,
        reason: str = "",
    ) -> AnswerT:
        """Return the effect's answer, or the one given before under this request id.

        Args:
            request: The request, with its `request_id`.
            answer_class: Class of the answer.
            effect: Does it, in the scope it is given.
            target: What it acts upon, for the audit trail; names no person.
            reason: Why, for the audit trail.

        Raises:
            RapportError: REQUEST_ID_REUSED, REQUEST_IN_PROGRESS, NOT_READY, or why the effect was refused.
        """
        key = request_of(request)
        async with self._scope() as scope:
            records = self._records(scope)
            (earlier,) = await records.earlier([key])
            if isinstance(earlier, RapportError):
                raise earlier
            if earlier is not None:
                return answer_class.FromString(earlier)
            answer = await effect(scope)
            if (deed := deed_of(target, reason)) is not None:
                await records.audit(deed)
            await records.keep([(key, answer.SerializeToString())])
        return answer


async def answer_batch(
    records: CallRecords,
    requests: Sequence[Request],
    answer_class: type[AnswerT],
    effect: Callable[[Sequence[int]], Awaitable[Sequence[AnswerT | RapportError]]],
) -> list[AnswerT | RapportError]:
    """Answer many calls in one transaction, each once; one that is refused is not kept, and may be made again.

    Args:
        records: What the transaction keeps.
        requests: The calls; two of them may be the same.
        answer_class: Class of their answers.
        effect: Answers those at the given places, which were not answered before.
    """
    earlier = await records.earlier(requests)
    new = {request: at for at, (request, known) in enumerate(zip(requests, earlier, strict=True)) if known is None}
    answers = dict(zip(new, await effect(list(new.values())), strict=True))
    await records.keep(
        [(key, answer.SerializeToString()) for key, answer in answers.items() if not isinstance(answer, RapportError)]
    )
    return [
        answer_class.FromString(known) if isinstance(known, bytes) else known or answers[request]
        for request, known in zip(requests, earlier, strict=True)
    ]


def request_of(request: Any) -> Request:
    """Return the call that is under way, as one that takes effect once."""
    call = current_call()
    body = request.SerializeToString(deterministic=True)
    return Request(call.caller, call.method.full_name, request.request_id, body)


def deed_of(target: str, reason: str = "") -> Deed | None:
    """Return what the operator behind the call does; None if there is none."""
    call = current_call()
    if call.actor is None:
        return None
    return Deed(call.actor.subject, call.caller, call.method.full_name, target, reason)


def actor() -> str:
    """Return the subject of the operator behind the call.

    Raises:
        RapportError: ACTOR_TOKEN_MISSING; the contract marks methods that need one, so that none gets here without.
    """
    call = current_call()
    if call.actor is None:
        raise CHASSIS_ERRORS.error("ACTOR_TOKEN_MISSING", "an operator must stand behind this call")
    return call.actor.subject


def author() -> str:
    """Return who stands behind the call: the operator, or else the calling service."""
    call = current_call()
    return call.actor.subject if call.actor is not None else call.caller
