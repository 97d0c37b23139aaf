"""Calls participants over HTTPS: a processor, or an old system.

Tasks and answers are signed as Standard Webhooks 1.0 says, with a secret that both know and under the id of the task.
An answer is JSON; or lines of JSON, the first of them the answer and all others the records that are handed in with it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import httpcore
from rapport.common.v1 import privacy_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.outbound import Endpoint, Pinned, Resolve, is_public, resolve
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.times import stamp
from rapport_chassis.webhooks import PiecewiseVerification, WebhookKey, signed_headers

from rapport_consent.adapters.handed_records import HandedRecords
from rapport_consent.domain.holds import Protected
from rapport_consent.domain.tasks import AskedTask, TaskAnswer, TaskKind, require_complete
from rapport_consent.translate.tasks import answer_of, confirmed

_ANSWER_LIMIT: Final = 1 << 20
_TIMEOUT_S: Final = 30.0
_RECORDS_TIMEOUT_S: Final = 120.0
_WITH_RECORDS: Final = "application/x-ndjson"


class _UnansweredError(Exception):
    """A participant gave no answer that it signed."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a participant is called, and the secrets shared with it, the newest first."""

    endpoint: Endpoint
    keys: tuple[WebhookKey, ...]


class WebhookCaller:
    """Calls participants.

    Args:
        webhooks: Where each is.
        handed: Where records go that come with an answer.
        clock: The time.
        context: For TLS; None for the public authorities.
        resolve: Finds the addresses of a name.
        allowed: Says whether an address may be connected to.
        inner: Inner systems that may be called all the same: name with port, and the one address it is at.
    """

    name = "privacy-webhook-calls"
    role = "events"

    def __init__(
        self,
        webhooks: Mapping[str, Webhook],
        handed: HandedRecords,
        clock: Clock,
        *,
        context: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        allowed: Callable[[str], bool] = is_public,
        inner: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._webhooks = dict(webhooks)
        self._handed = handed
        self._clock = clock
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, keepalive_expiry=5.0, network_backend=Pinned(resolve, allowed, inner)
        )

    @property
    def names(self) -> Collection[str]:
        """Who can be called."""
        return self._webhooks

    async def start(self) -> None:
        """Do nothing: connections are made when they are needed."""

    async def stop(self) -> None:
        """Close what is open."""
        await self._pool.aclose()

    async def call(
        self, task: AskedTask, profile_ids: Sequence[str], kept: Mapping[str, Protected]
    ) -> TaskAnswer | None:
        """Call for a task; return the answer, None if there is none that the participant signed.

        Raises:
            RapportError: The database cannot be reached.
        """
        line = ""
        try:
            return await self._called(task, profile_ids, kept)
        except _UnansweredError as error:
            reason = str(error)
        except RapportError as error:
            if error.reason.retryable:
                raise
            reason, line = error.reason.name, error.metadata.get("line", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = "MALFORMED"
        get_logger().warning(
            "privacy_webhook_unanswered",
            task_id=task.task_id,
            participant=task.participant,
            type=task.kind.name,
            reason=reason,
            line=line,
        )
        return None

    async def _called(self, task: AskedTask, profile_ids: Sequence[str], kept: Mapping[str, Protected]) -> TaskAnswer:
        """Return what a participant signed.

        Raises:
            _UnansweredError: It did not, with the reason as a code.
            ValueError, KeyError, TypeError, AttributeError: What it signed is no answer.
            RapportError: The records that it handed in are none, or not all.
        """
        hook = self._webhooks[task.participant]
        body = json.dumps(_asked(task, profile_ids, kept)).encode()
        headers = signed_headers(task.task_id, self._second(), body, hook.keys)
        try:
            async with asyncio.timeout(_RECORDS_TIMEOUT_S if task.kind is TaskKind.ACCESS else _TIMEOUT_S):
                async with self._posted(hook.endpoint, headers, body) as answer:
                    return await self._read(task, hook.keys, answer)
        except (TimeoutError, OSError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
            raise _UnansweredError("UNREACHABLE") from None

    def _second(self) -> int:
        return int(self._clock.now().timestamp())

    @asynccontextmanager
    async def _posted(
        self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes
    ) -> AsyncIterator[httpcore.Response]:
        request = httpcore.Request(
            "POST",
            httpcore.URL(scheme=b"https", host=endpoint.host, port=endpoint.port, target=endpoint.target),
            headers=[
                (b"host", endpoint.origin.removeprefix("https://").encode()),
                (b"content-length", str(len(body)).encode()),
                *((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()),
            ],
            content=body,
        )
        answer = await self._pool.handle_async_request(request)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def _read(self, task: AskedTask, keys: Sequence[WebhookKey], answer: httpcore.Response) -> TaskAnswer:
        """Return what a participant says, with the records that it hands in; all of it is signed.

        Raises:
            _UnansweredError: It is not, or it is too long.
            ValueError, KeyError, TypeError, AttributeError: What it signed is no answer.
            RapportError: RECORDS_TOO_LONG, RECORDS_MALFORMED, RECORDS_MISCOUNTED, RECORDS_NOT_ASKED, NOT_READY.
        """
        given = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in answer.headers}
        if answer.status != HTTPStatus.OK:
            raise _UnansweredError(f"HTTP_{answer.status}")
        verification = PiecewiseVerification(given, keys, self._second())
        body = _verified_to_the_end(answer.aiter_stream(), verification, given.get("webhook-id") == task.task_id)
        if given.get("content-type", "").partition(";")[0].strip().lower() != _WITH_RECORDS:
            said, _ = await _taken(body, b"")
            return require_complete(task.kind, answer_of(_answered(task, json.loads(said))))
        async with self._handed.intake(task.participant) as intake:
            said, begun = await _taken(body, b"\n")
            await intake.write(begun)
            async for piece in body:
                await intake.write(piece)
            found = answer_of(_answered(task, json.loads(said)))
            return require_complete(task.kind, replace(found, records=await intake.end()))


async def _verified_to_the_end(
    pieces: AsyncIterator[bytes], verification: PiecewiseVerification, is_of_task: bool
) -> AsyncIterator[bytes]:
    """Yield a body in pieces.

    Raises:
        _UnansweredError: It has come to its end and is not signed.
    """
    async for piece in pieces:
        verification.update(piece)
        yield piece
    if not (is_of_task and verification.succeeds):
        raise _UnansweredError("NOT_GENUINE")


async def _taken(pieces: AsyncIterator[bytes], until: bytes) -> tuple[bytes, bytes]:
    """Return the beginning of a body up to a mark, or all of it, and what came with it beyond."""
    begun = bytearray()
    async for piece in pieces:
        begun += piece
        if until and until in begun:
            before, _, beyond = bytes(begun).partition(until)
            return before, beyond
        if len(begun) > _ANSWER_LIMIT:
            raise _UnansweredError("TOO_LONG")
    return bytes(begun), b""


def _asked(task: AskedTask, profile_ids: Sequence[str], kept: Mapping[str, Protected]) -> dict[str, Any]:
    """Return what a participant is asked: `kept` is what no erasure may delete, by store, "" for every store."""
    return {
        "type": "privacy_task",
        "request_id": task.request_id,
        "task_id": task.task_id,
        "kind": task.kind.name,
        "profile_ids": list(profile_ids),
        "due_at": task.due_at.isoformat() if task.due_at else None,
        "kept": [
            {"store": store, "everything": each.everything, "record_ids": sorted(each.record_ids)}
            for store, each in kept.items()
            if each.everything or each.record_ids
        ],
    }


def _answered(task: AskedTask, said: dict[str, Any]) -> privacy_pb2.PrivacyTaskCompleted:
    """Return an answer as a message.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is none.
    """
    done = datetime.fromisoformat(said["completed_at"])
    exceptions = [
        privacy_pb2.StoreException(
            store=each["store"],
            count=each["count"],
            ground=each["ground"],
            until=stamp(datetime.fromisoformat(each["until"])) if each.get("until") else None,
        )
        for each in said.get("exceptions", ())
    ]
    return confirmed(
        request_id=task.request_id,
        task_id=task.task_id,
        participant=task.participant,
        kind=task.kind,
        outcome=privacy_pb2.PrivacyTaskOutcome.Value(f"PRIVACY_TASK_OUTCOME_{said['outcome']}"),
        stores=[privacy_pb2.StoreResult(**each) for each in said.get("stores", ())],
        exceptions=exceptions,
        now=done,
    )
