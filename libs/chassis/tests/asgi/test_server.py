from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rapport_chassis.asgi.errors import HTTP_ERRORS, http_status
from rapport_chassis.asgi.server import HttpServer
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.settings import HttpSettings, TelemetrySettings, TlsFiles
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.capture import LogCapture, assert_absent
from rapport_testing.pki import LocalAuthority
from rapport_testing.waiting import eventually
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CANARY = "zoe.canary@example.org"
LIMIT = 1000


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


async def fetch(
    address: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    def ask() -> Answer:
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


class Gate:
    """Holds a request until the test lets it go."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()

    async def pass_through(self, _: Request) -> Response:
        self.entered.set()
        await self.opened.wait()
        return Response("passed")


async def echo_size(request: Request) -> Response:
    return JSONResponse({"bytes": len(await request.body())})


async def refuse(_: Request) -> Response:
    raise CHASSIS_ERRORS.error("NOT_READY", "The replica is not there yet.", retry_after_s=2.2)


async def crash(request: Request) -> Response:
    raise ValueError(f"{CANARY} {(await request.body()).decode()}")


async def framed(_: Request) -> Response:
    return Response("<p>", headers={"Content-Security-Policy": "default-src 'self'"})


@pytest.fixture
def recorded() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def gate() -> Gate:
    return Gate()


Serve = Callable[..., Awaitable[HttpServer]]


@pytest.fixture
async def serve(recorded: InMemorySpanExporter, gate: Gate) -> AsyncIterator[Serve]:
    """Starts listeners, which are stopped at the end."""
    telemetry = Telemetry.start(
        TelemetrySettings(), service="sample", version="1", environment="test", span_exporter=recorded
    )
    started: list[HttpServer] = []

    async def start(**settings: Any) -> HttpServer:
        routes = [
            Route("/people/{person}/size", echo_size, methods=["POST"]),
            Route("/refuse", refuse),
            Route("/crash", crash, methods=["POST"]),
            Route("/framed", framed),
            Route("/gate", gate.pass_through),
        ]
        server = HttpServer(HttpSettings(body_limit_bytes=LIMIT, **settings), routes, telemetry=telemetry)
        started.append(server)
        await server.start()
        return server

    yield start
    gate.opened.set()
    for server in started:
        await server.stop()
    telemetry.shutdown()


async def test_a_request_is_answered_and_recorded_by_route_never_by_path(
    serve: Serve, recorded: InMemorySpanExporter
) -> None:
    server = await serve()
    answer = await fetch(server.address, "POST", f"/people/{CANARY}/size?q={CANARY}", b"x" * LIMIT)
    assert (answer.status, answer.document) == (200, {"bytes": LIMIT})
    (span,) = await eventually(recorded.get_finished_spans)
    assert span.name == "POST /people/{person}/size"
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/people/{person}/size",
        "http.response.status_code": 200,
    }
    assert_absent("canary", span.to_json())


async def test_answers_carry_safe_headers_and_do_not_name_the_server(serve: Serve) -> None:
    server = await serve()
    for answer in (await fetch(server.address, "GET", "/framed"), await fetch(server.address, "GET", "/nothing")):
        assert "server" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in answer.headers
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    framed_answer = await fetch(server.address, "GET", "/framed")
    assert framed_answer.headers["content-security-policy"] == "default-src 'self'"


async def test_a_refusal_is_typed_and_names_its_trace(serve: Serve, recorded: InMemorySpanExporter) -> None:
    server = await serve()
    answer = await fetch(server.address, "GET", "/refuse")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "2"
    (span,) = await eventually(recorded.get_finished_spans)
    assert answer.document == {
        "reason": "NOT_READY",
        "message": "The replica is not there yet.",
        "trace_id": f"{span.context.trace_id:032x}",
    }
    assert (span.attributes or {})["error.type"] == "NOT_READY"


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [("GET", f"/{CANARY}", 404, "PATH_UNKNOWN"), ("DELETE", "/refuse", 405, "HTTP_METHOD_REFUSED")],
)
async def test_what_is_not_served_is_refused_without_repeating_it(
    serve: Serve, method: str, path: str, status: int, reason: str
) -> None:
    answer = await fetch((await serve()).address, method, path)
    assert (answer.status, answer.document["reason"]) == (status, reason)
    assert_absent("canary", answer.body)


async def test_a_fault_leaves_nothing_of_the_request_anywhere(
    serve: Serve, recorded: InMemorySpanExporter, log_capture: LogCapture
) -> None:
    answer = await fetch((await serve()).address, "POST", "/crash", CANARY.encode())
    assert (answer.status, answer.document["reason"]) == (500, "INTERNAL")
    (span,) = await eventually(recorded.get_finished_spans)
    assert (span.attributes or {})["error.type"] == "INTERNAL"
    assert len(log_capture.named("http_request_failed")) == 1
    assert_absent("canary", answer.body, span.to_json())


def pieces(count: int) -> Any:
    return (b"x" * 100 for _ in range(count))


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"x" * (LIMIT + 1), {}), (pieces(11), {}), (b"", {"Content-Length": "9" * 18})],
    ids=["declared", "chunked", "only claimed"],
)
async def test_a_body_above_the_limit_is_refused(serve: Serve, body: Any, headers: dict[str, str]) -> None:
    answer = await fetch((await serve()).address, "POST", "/people/p/size", body, headers)
    assert (answer.status, answer.document["reason"]) == (413, "BODY_TOO_LARGE")


async def test_a_body_that_does_not_arrive_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rapport_chassis.asgi.edge.BODY_WITHIN_S", 0.05)
    server = await serve()
    reader, writer = await asyncio.open_connection(*server.address.split(":"))
    writer.write(b"POST /people/p/size HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert b"408" in await reader.readline()
    assert b"BODY_TOO_SLOW" in await reader.read()
    writer.close()


async def test_a_request_that_is_no_http_is_refused_without_repeating_it(serve: Serve) -> None:
    server = await serve()
    reader, writer = await asyncio.open_connection(*server.address.split(":"))
    writer.write(b"canary\x00canary\r\n\r\n")
    answer = await reader.read()
    assert b" 400 " in answer.splitlines()[0]
    assert_absent("canary", answer)
    writer.close()


async def test_too_many_requests_at_once_are_refused(serve: Serve, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rapport_chassis.asgi.edge.MAX_IN_FLIGHT", 1)
    server = await serve()
    held = asyncio.create_task(fetch(server.address, "GET", "/gate"))
    await gate.entered.wait()
    answer = await fetch(server.address, "GET", "/framed")
    assert (answer.status, answer.document["reason"]) == (429, "OVERLOADED")
    gate.opened.set()
    assert (await held).status == 200
    assert (await fetch(server.address, "GET", "/framed")).status == 200


async def test_stopping_finishes_what_is_in_flight_and_takes_nothing_new(serve: Serve, gate: Gate) -> None:
    server = await serve()
    held = asyncio.create_task(fetch(server.address, "GET", "/gate"))
    await gate.entered.wait()
    stopping = asyncio.create_task(server.stop())
    await eventually(lambda: refused(server.address))
    assert not stopping.done()
    gate.opened.set()
    assert (await held).body == b"passed"
    await stopping


async def test_stopping_does_not_wait_for_ever(serve: Serve, gate: Gate) -> None:
    server = await serve(drain_s=0)
    held = asyncio.create_task(fetch(server.address, "GET", "/gate"))
    await gate.entered.wait()
    await server.stop()
    answer = await held
    assert (answer.status, answer.document["reason"]) == (503, "UNAVAILABLE")


def refused(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as attempt:
        return attempt.connect_ex((host, int(port))) != 0


async def test_the_address_is_written_while_it_is_served(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "address"
    server = await serve(address_file=file)
    assert file.read_text() == server.address
    await server.stop()
    assert not file.exists()


async def test_an_address_that_is_taken_is_an_error_and_not_a_shared_port(serve: Serve) -> None:
    server = await serve()
    with pytest.raises(OSError, match="in use"):
        await serve(port=int(server.address.split(":")[1]))


async def test_a_renewed_certificate_is_shown_to_the_next_connection(serve: Serve, tmp_path: Path) -> None:
    authority = LocalAuthority(tmp_path)
    files = authority.issue("sample")
    tls = TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)
    server = await serve(tls=tls)
    host, port = server.address.split(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(files.authorities)

    async def shown(name: str | None) -> bytes:
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
        certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.write(b"GET /framed HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"strict-transport-security" in (await reader.read()).lower()
        writer.close()
        return certificate

    first = await shown("localhost")
    assert first == await shown("")
    authority.issue("sample")
    await eventually(lambda: differs(shown("localhost"), first))
    assert await shown("") != first


async def differs(certificate: Awaitable[bytes], other: bytes) -> bool:
    return await certificate != other


def test_faults_and_only_faults_are_reported_as_such() -> None:
    faults = {reason.name for reason in (*HTTP_ERRORS, *CHASSIS_ERRORS) if http_status(reason) >= 500}
    assert faults == {
        "INTERNAL",
        "NOT_READY",
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "DEADLINE_TOO_SHORT",
        "METHOD_UNKNOWN",
    }
    assert all(http_status(reason) >= 400 for reason in (*HTTP_ERRORS, *CHASSIS_ERRORS))
