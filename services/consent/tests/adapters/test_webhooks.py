"""Participants that are called: the task is signed, and only an answer that is signed in turn is one."""

from __future__ import annotations

import asyncio
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rapport_chassis.outbound import Endpoint
from rapport_chassis.webhooks import WebhookKey, signed_headers, verified
from rapport_consent.adapters.webhooks import Webhook, WebhookCaller
from rapport_consent.domain.holds import Protected
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.tasks import AskedTask, Kept, StoreCount, TaskAnswer, TaskKind, TaskOutcome
from rapport_consent.settings import ParticipantEntry
from rapport_testing.clock import TestClock
from rapport_testing.pki import LocalAuthority

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
HOST = "old.example.com"
KEY = WebhookKey.parse("whsec_" + b64encode(bytes(range(32))).decode())
OTHER = WebhookKey.parse("whsec_" + b64encode(bytes(32)).decode())
TASK = AskedTask(
    "tsk_00000001", "req_00000001", "old", ParticipantKind.WEBHOOK, TaskKind.ERASE, 0, NOW, NOW + timedelta(days=7)
)
SAID = {
    "outcome": "PARTIAL",
    "completed_at": "2026-11-20T09:29:00+00:00",
    "stores": [{"store": "orders", "found": 3, "acted": 2}],
    "exceptions": [{"store": "orders", "count": 1, "ground": "LEGAL_OBLIGATION", "until": "2031-01-01T00:00:00+00:00"}],
}

Call = Callable[[], Awaitable[TaskAnswer | None]]


@dataclass
class OldSystem:
    """A server over TLS, with what it was sent and what it answers."""

    answer: Callable[[dict[str, str], bytes], tuple[int, dict[str, str], bytes]]
    called: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one call."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.called.append((headers, json.loads(body)))
        status, given, content = self.answer(headers, body)
        lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in given.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        await writer.drain()
        writer.close()


def signed(
    said: Any = SAID, *, key: WebhookKey = KEY, task_id: str = TASK.task_id, at: datetime = NOW, status: int = 200
) -> Callable[[dict[str, str], bytes], tuple[int, dict[str, str], bytes]]:
    """Return an answer."""
    content = json.dumps(said).encode()
    return lambda *_: (status, signed_headers(task_id, int(at.timestamp()), content, [key]), content)


@asynccontextmanager
async def calling(
    folder: Path, system: OldSystem, *, allowed: bool = True
) -> AsyncIterator[Callable[[], Awaitable[TaskAnswer | None]]]:
    """Serve, and give what calls."""
    authority = LocalAuthority(folder / "pki")
    files = authority.issue("old", dns=[HOST])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    server = await asyncio.start_server(system.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    inner = {f"{HOST}:{port}": "127.0.0.1"} if allowed else {}
    endpoint = Endpoint.parse(f"https://{HOST}:{port}/privacy", inner={f"{HOST}:{port}": ""})
    caller = WebhookCaller(
        {"old": Webhook(endpoint, (KEY,))},
        TestClock(NOW),
        context=ssl.create_default_context(cafile=files.authorities),
        resolve=resolve,
        inner=inner,
    )
    kept = {"": Protected(), "orders": Protected(record_ids=frozenset({"o-1"}))}
    try:
        yield lambda: caller.call(TASK, ["prf_00000001"], kept)
    finally:
        await caller.stop()
        server.close()
        await server.wait_closed()


async def test_task_is_signed_and_tells_what_is_held_and_the_signed_answer_is_taken(tmp_path: Path) -> None:
    genuine: list[bool] = []

    def answer(headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        genuine.append(verified(headers, body, [KEY], int(NOW.timestamp())))
        return signed()(headers, body)

    system = OldSystem(answer)
    async with calling(tmp_path, system) as call:
        found = await call()
    ((headers, asked),) = system.called
    assert genuine == [True]
    assert headers["webhook-id"] == TASK.task_id
    assert asked == {
        "type": "privacy_task",
        "request_id": TASK.request_id,
        "task_id": TASK.task_id,
        "kind": "ERASE",
        "profile_ids": ["prf_00000001"],
        "due_at": "2026-11-27T09:30:00+00:00",
        "kept": [{"store": "orders", "everything": False, "record_ids": ["o-1"]}],
    }
    assert found is not None
    assert (found.participant, found.outcome, found.kid) == ("old", TaskOutcome.PARTIAL, "")
    assert found.stores == (StoreCount("orders", 3, 2),)
    assert found.kept == (Kept("orders", 1, "LEGAL_OBLIGATION", datetime(2031, 1, 1, tzinfo=UTC)),)


@pytest.mark.parametrize(
    "answer",
    [
        signed(key=OTHER),
        signed(task_id="tsk_00000002"),
        signed(at=NOW - timedelta(minutes=6)),
        signed(status=202),
        signed(said=[]),
        signed(said={**SAID, "outcome": "MAYBE"}),
        signed(said={**SAID, "stores": [{"shop": "orders"}]}),
        lambda *_: (200, {}, b"{}"),
        lambda *_: (302, {"location": "https://127.0.0.1/"}, b""),
        lambda *_: (200, {}, bytes((1 << 20) + 1)),
    ],
    ids=["key", "task", "old", "later", "list", "outcome", "store", "unsigned", "redirect", "long"],
)
async def test_what_is_not_a_signed_answer_to_the_task_is_none(tmp_path: Path, answer: Any) -> None:
    async with calling(tmp_path, OldSystem(answer)) as call:
        assert await call() is None


async def test_nobody_is_called_who_leads_inside(tmp_path: Path) -> None:
    system = OldSystem(signed())
    async with calling(tmp_path, system, allowed=False) as call:
        assert await call() is None
    assert system.called == []


def test_a_webhook_without_address_or_secret_is_no_participant() -> None:
    with pytest.raises(ValidationError, match="a webhook has a url and a keys_file"):
        ParticipantEntry(name="old", kind="WEBHOOK", url="https://old.example.com/privacy")
