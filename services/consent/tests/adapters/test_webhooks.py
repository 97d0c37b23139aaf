"""Participants that are called: the task is signed, and only an answer that is signed in turn is one."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from consent_webhooks import HOST, KEY, Answer, OldSystem, serving, with_records
from consent_webhooks import signed as answered
from pydantic import ValidationError
from rapport_chassis.database.engine import Database
from rapport_chassis.outbound import Endpoint
from rapport_chassis.settings import DatabaseSettings
from rapport_chassis.webhooks import WebhookKey, verified
from rapport_consent.adapters.handed_records import HandedRecords, HandedRows, sweep_handed
from rapport_consent.adapters.sealing import Sealer
from rapport_consent.adapters.webhooks import Webhook, WebhookCaller
from rapport_consent.domain.holds import Protected
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.tasks import AskedTask, Kept, StoreCount, TaskAnswer, TaskKind, TaskOutcome
from rapport_consent.settings import ParticipantEntry
from rapport_testing.clock import TestClock
from rapport_testing.pki import LocalAuthority
from structlog.testing import capture_logs

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
NDJSON = "application/x-ndjson; charset=utf-8"
MOST_BYTES = 1 << 20
SEALER = Sealer.fresh()[0]
OTHER = WebhookKey.parse("whsec_" + b64encode(bytes(32)).decode())
TASK = AskedTask(
    "tsk_00000001", "req_00000001", "old", ParticipantKind.WEBHOOK, TaskKind.ERASE, 0, NOW, NOW + timedelta(days=7)
)
ACCESS = replace(TASK, kind=TaskKind.ACCESS)
SAID = {
    "outcome": "PARTIAL",
    "completed_at": "2026-11-20T09:29:00+00:00",
    "stores": [{"store": "orders", "found": 3, "acted": 2}],
    "exceptions": [{"store": "orders", "count": 1, "ground": "LEGAL_OBLIGATION", "until": "2031-01-01T00:00:00+00:00"}],
}


def signed(
    said: Any = SAID, *, key: WebhookKey = KEY, task_id: str = TASK.task_id, at: datetime = NOW, status: int = 200
) -> Answer:
    """Return an answer without records."""
    return lambda *_: answered(json.dumps(said).encode(), task_id, at, key=key, status=status)


def lines(
    *records: Any, found: int = 2, task: AskedTask = ACCESS, key: WebhookKey = KEY, signs: int = 0, media: str = NDJSON
) -> Answer:
    """Return an answer with records, of which it signs all or the first bytes."""
    said = {**SAID, "outcome": "DONE", "exceptions": [], "stores": [{"store": "orders", "found": found, "acted": 0}]}
    content = with_records(said, records)
    status, headers, _ = answered(content[: signs or None], task.task_id, NOW, key=key, media=media)
    return lambda *_: (status, headers, content)


@pytest.fixture
async def handed(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The database to which records are handed in."""
    database = Database(settings, service="consent")
    await database.open()
    yield database
    await database.close()


@asynccontextmanager
async def calling(
    folder: Path, system: OldSystem, database: Database, *, allowed: bool = True, task: AskedTask = TASK
) -> AsyncIterator[Callable[[], Awaitable[TaskAnswer | None]]]:
    """Serve, and give what calls."""

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    files = LocalAuthority(folder / "pki").issue("old", dns=[HOST])
    async with serving(files, system) as port:
        endpoint = Endpoint.parse(f"https://{HOST}:{port}/privacy", inner={f"{HOST}:{port}": ""})
        caller = WebhookCaller(
            {"old": Webhook(endpoint, (KEY,))},
            HandedRecords(database, SEALER, MOST_BYTES, TestClock(NOW)),
            TestClock(NOW),
            context=ssl.create_default_context(cafile=files.authorities),
            resolve=resolve,
            inner={f"{HOST}:{port}": "127.0.0.1"} if allowed else {},
        )
        kept = {"": Protected(), "orders": Protected(record_ids=frozenset({"o-1"}))}
        try:
            yield lambda: caller.call(task, ["prf_00000001"], kept)
        finally:
            await caller.stop()


async def pieces(database: Database) -> int:
    """How many pieces of records there are."""
    async with database.transaction() as connection:
        row = await (await connection.execute("SELECT count(*) FROM privacy_handed_pieces")).fetchone()
    return int(row[0]) if row else 0


async def test_task_is_signed_and_tells_what_is_held_and_the_signed_answer_is_taken(
    tmp_path: Path, handed: Database
) -> None:
    genuine: list[bool] = []

    def answer(headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        genuine.append(verified(headers, body, [KEY], int(NOW.timestamp())))
        return signed()(headers, body)

    system = OldSystem(answer)
    async with calling(tmp_path, system, handed) as call:
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
async def test_what_is_not_a_signed_answer_to_the_task_is_none(tmp_path: Path, handed: Database, answer: Any) -> None:
    async with calling(tmp_path, OldSystem(answer), handed) as call:
        assert await call() is None


async def test_nobody_is_called_who_leads_inside(tmp_path: Path, handed: Database) -> None:
    system = OldSystem(signed())
    async with calling(tmp_path, system, handed, allowed=False) as call:
        assert await call() is None
    assert system.called == []


def test_a_webhook_without_address_or_secret_is_no_participant() -> None:
    with pytest.raises(ValidationError, match="a webhook has a url and a keys_file"):
        ParticipantEntry(name="old", kind="WEBHOOK", url="https://old.example.com/privacy")


def order(number: int, **change: Any) -> dict[str, Any]:
    """A record of an order."""
    return {"store": "orders", "record_id": f"o-{number}", "data": {"item": f"shoe {number}", "x": "y" * 900}, **change}


async def test_records_that_come_with_an_answer_are_there_once_it_is_taken_and_gone_with_their_request(
    tmp_path: Path, handed: Database
) -> None:
    """More of them than one sealed piece holds."""
    system = OldSystem(lines(*(order(n) for n in range(800)), found=800))
    async with calling(tmp_path, system, handed, task=ACCESS) as call:
        found, again = await call(), await call()
    assert found is not None
    assert again is not None
    assert found.records is not None
    assert found.records.counts == {"orders": 800}
    assert await pieces(handed) == 4
    async with handed.transaction() as connection:
        rows = HandedRows(connection, SEALER)
        await rows.keep(ACCESS.request_id, ACCESS.task_id, found.records, NOW)
    records = HandedRecords(handed, SEALER, MOST_BYTES, TestClock(NOW)).records(replace(ACCESS, answer=found))
    assert [each.record_id async for each in records] == [f"o-{n}" for n in range(800)]
    async with handed.transaction() as connection:
        assert await sweep_handed(connection, NOW + timedelta(minutes=59)) == 0
        assert await sweep_handed(connection, NOW + timedelta(minutes=61)) == 2  # what the second answer brought
        await HandedRows(connection, SEALER).destroy(ACCESS.request_id)
    assert await pieces(handed) == 0


@pytest.mark.parametrize(
    ("answer", "reason", "line"),
    [
        (lines(order(1), order(2), key=OTHER), "NOT_GENUINE", ""),
        (lines(order(1), order(2), signs=200), "NOT_GENUINE", ""),
        (lines(order(1), order(2), task=replace(ACCESS, task_id="tsk_00000002")), "NOT_GENUINE", ""),
        (lines(order(1), '{"store": "orders"', order(3), found=3), "RECORDS_MALFORMED", "2"),
        (lines(*(order(n) for n in range(1200)), found=1200), "RECORDS_TOO_LONG", ""),
        (lines(order(1), found=2), "RECORDS_MISCOUNTED", ""),
        (lines(order(1), order(2), order(3, store="other")), "RECORDS_MISCOUNTED", ""),
        (lines(order(1), order(2), media="application/json"), "MALFORMED", ""),
        (lines(media="application/json"), "RECORDS_MISCOUNTED", ""),
    ],
    ids=["key", "part", "task", "malformed", "long", "fewer", "elsewhere", "media", "none"],
)
async def test_records_that_are_not_what_was_signed_and_counted_are_refused_and_leave_nothing(
    tmp_path: Path, handed: Database, answer: Answer, reason: str, line: str
) -> None:
    async with calling(tmp_path, OldSystem(answer), handed, task=ACCESS) as call:
        with capture_logs() as logged:
            assert await call() is None
    ((told, at),) = [(each["reason"], each["line"]) for each in logged]
    assert (told, at) == (reason, line)
    assert "shoe" not in str(logged)
    assert await pieces(handed) == 0


async def test_records_answer_a_task_of_access_alone(tmp_path: Path, handed: Database) -> None:
    async with calling(tmp_path, OldSystem(lines(order(1), order(2))), handed) as call:
        assert await call() is None
