"""An old system that is called over HTTPS, and what it answers."""

from __future__ import annotations

import asyncio
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rapport_chassis.webhooks import WebhookKey, signed_headers
from rapport_testing.pki import IssuedFiles

HOST = "old.example.com"
SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
KEY = WebhookKey.parse(SECRET)
WITH_RECORDS = "application/x-ndjson"

HOSTILE = "../../etc/passwd"
ORDERS = [
    {"store": "orders", "record_id": "o-1", "recorded_at": "2026-01-02T03:04:05Z", "data": {"item": "=cmd()"}},
    {"store": "orders", "record_id": "o-2", "data": {"item": "<script>x</script>", "iban": "DE00"}},
    {"store": HOSTILE, "record_id": "../x", "data": {"seen": "at night"}},
]
"""What the warehouse holds, in a store that would lead elsewhere too."""

Answer = Callable[[dict[str, str], bytes], tuple[int, dict[str, str], bytes]]
"""Returns status, headers and body for the headers and body of a call."""


@dataclass
class OldSystem:
    """A server over TLS, with what it was sent and what it answers."""

    answer: Answer
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


@asynccontextmanager
async def serving(files: IssuedFiles, system: OldSystem, port: int = 0) -> AsyncIterator[int]:
    """Serve with a certificate of `HOST`, and give the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    server = await asyncio.start_server(system.serve, "127.0.0.1", port, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def signed(
    content: bytes,
    task_id: str,
    at: datetime,
    *,
    key: WebhookKey = KEY,
    status: int = 200,
    media: str = "application/json",
) -> tuple[int, dict[str, str], bytes]:
    """Return an answer."""
    return status, {**signed_headers(task_id, int(at.timestamp()), content, [key]), "content-type": media}, content


def with_records(said: Any, records: Sequence[Any]) -> bytes:
    """Return a body of an answer and records; what is no text yet becomes JSON."""
    lines = [each if isinstance(each, str) else json.dumps(each) for each in (said, *records)]
    return "".join(f"{line}\n" for line in lines).encode()


class Warehouse(OldSystem):
    """A webhook that holds orders until it is asked to erase them."""

    def __init__(self) -> None:
        super().__init__(self._answer)

    def _answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        kind, now = json.loads(body)["kind"], datetime.now(UTC)
        counts = {"orders": 2, HOSTILE: 1} if kind != "PROBE" else {}
        said = {
            "outcome": "DONE" if counts else "NOTHING_HELD",
            "completed_at": now.isoformat(),
            "stores": [{"store": store, "found": count, "acted": count} for store, count in counts.items()],
        }
        if kind == "ACCESS":
            return signed(with_records(said, ORDERS), headers["webhook-id"], now, media=WITH_RECORDS)
        return signed(json.dumps(said).encode(), headers["webhook-id"], now)

    def asked(self, request: str) -> list[str]:
        """What it was asked for a request."""
        return [body["kind"] for _, body in self.called if body["request_id"] == request]
