"""Calls participants over HTTPS: a processor, or an old system.

Tasks and answers are signed as Standard Webhooks 1.0 says, with a secret that both know and under the id of the task.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import httpcore
from rapport.common.v1 import privacy_pb2
from rapport_chassis.clock import Clock
from rapport_chassis.outbound import Endpoint, Pinned, Resolve, is_public, resolve
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.times import stamp
from rapport_chassis.webhooks import WebhookKey, signed_headers, verified

from rapport_consent.domain.holds import Protected
from rapport_consent.domain.tasks import AskedTask, TaskAnswer
from rapport_consent.translate.tasks import answer_of, confirmed

_ANSWER_LIMIT: Final = 1 << 20
_TIMEOUT_S: Final = 30.0


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
        clock: Clock,
        *,
        context: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        allowed: Callable[[str], bool] = is_public,
        inner: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._webhooks = dict(webhooks)
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
        """Call for a task; return the answer, None if there is none that the participant signed."""
        try:
            return answer_of(_answered(task, await self._called(task, profile_ids, kept)))
        except _UnansweredError as error:
            reason = str(error)
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = "MALFORMED"
        get_logger().warning("privacy_webhook_unanswered", task_id=task.task_id, type=task.kind.name, reason=reason)
        return None

    async def _called(
        self, task: AskedTask, profile_ids: Sequence[str], kept: Mapping[str, Protected]
    ) -> dict[str, Any]:
        """Return what a participant says that it signed.

        Raises:
            _UnansweredError: It did not, with the reason as a code.
            ValueError: What it signed is no JSON.
        """
        hook = self._webhooks[task.participant]
        body = json.dumps(_asked(task, profile_ids, kept)).encode()
        headers = signed_headers(task.task_id, self._second(), body, hook.keys)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status, given, content = await self._post(hook.endpoint, headers, body)
        except (TimeoutError, OSError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
            raise _UnansweredError("UNREACHABLE") from None
        if status != HTTPStatus.OK:
            raise _UnansweredError(f"HTTP_{status}")
        if given.get("webhook-id") != task.task_id or not verified(given, content, hook.keys, self._second()):
            raise _UnansweredError("NOT_GENUINE")
        said: dict[str, Any] = json.loads(content)
        return said

    def _second(self) -> int:
        return int(self._clock.now().timestamp())

    async def _post(
        self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
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
            content = b""
            async for piece in answer.aiter_stream():
                content += piece
                if len(content) > _ANSWER_LIMIT:
                    raise _UnansweredError("TOO_LONG")
        finally:
            await answer.aclose()
        given = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in answer.headers}
        return answer.status, given, content


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
