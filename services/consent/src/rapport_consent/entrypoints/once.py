"""Mutations take effect once: the answer is kept, in the same transaction, under the caller's request id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from google.protobuf.message import Message
from rapport_chassis.audit import AuditTrail
from rapport_chassis.idempotency import RequestLog
from rapport_chassis.rpc.pipeline import current_call

from rapport_consent.entrypoints.ports import LedgerStore, LedgerUnit

AnswerT = TypeVar("AnswerT", bound=Message)


class Once:
    """Runs a mutation in one transaction with its request id and, where a human stands behind it, its audit entry."""

    def __init__(self, store: LedgerStore, requests: RequestLog, audit: AuditTrail) -> None:
        self._store = store
        self._requests = requests
        self._audit = audit

    async def run(
        self,
        request: Any,
        answer_class: type[AnswerT],
        effect: Callable[[LedgerUnit], Awaitable[AnswerT]],
        *,
        target: str,
        reason: str = "",
    ) -> AnswerT:
        """Return the effect's answer, or the one given before under this request id.

        Args:
            request: The request, with its `request_id`.
            answer_class: Class of the answer.
            effect: Writes in the transaction it is given.
            target: What it acts upon, for the audit trail.
            reason: Why, for the audit trail.

        Raises:
            RapportError: REQUEST_ID_REUSED, REQUEST_IN_PROGRESS, NOT_READY, or why the effect was refused.
        """
        call = current_call()
        key = {"caller": call.caller, "method": call.method.full_name, "request_id": request.request_id}
        body = request.SerializeToString(deterministic=True)
        async with self._store.unit() as unit:
            earlier = await self._requests.begin(unit.connection, **key, body=body)
            if earlier is not None:
                return answer_class.FromString(earlier)
            answer = await effect(unit)
            if call.actor is not None:
                await self._audit.append(
                    unit.connection,
                    actor=call.actor.subject,
                    caller=call.caller,
                    action=call.method.full_name,
                    target=target,
                    reason=reason,
                    outcome="allowed",
                )
            await self._requests.finish(unit.connection, **key, body=body, answer=answer.SerializeToString())
        return answer
