"""The HTTP listener of a service: uvicorn in the process's own loop, under the process's own life."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Final, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from rapport_chassis.asgi.edge import REASON, Edge
from rapport_chassis.asgi.errors import HTTP_ERRORS, internal_error
from rapport_chassis.asgi.responses import error_response
from rapport_chassis.errors import RapportError
from rapport_chassis.reloading import Reloaded
from rapport_chassis.rpc.server import write_address
from rapport_chassis.settings import HttpSettings, TlsFiles
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.telemetry.setup import Telemetry

_REASONS: Final = {404: "PATH_UNKNOWN", 405: "HTTP_METHOD_REFUSED"}
_HEADER_LIMIT: Final = 16 * 1024
_IDLE_S: Final = 5
_BACKLOG: Final = 512


class HttpServer:
    """A component that answers HTTP. Routes raise `RapportError` to refuse; anything else they raise is INTERNAL."""

    role: Final[Literal["api"]] = "api"

    def __init__(
        self, settings: HttpSettings, routes: Sequence[BaseRoute], *, telemetry: Telemetry, name: str = "http"
    ) -> None:
        """Prepare; nothing is bound before `start`.

        Args:
            settings: listener and limits.
            routes: what is served.
            telemetry: of the process.
            name: of the component, in logs and health.
        """
        self.name = name
        self._settings = settings
        self._app = Edge(
            Starlette(routes=routes, exception_handlers=_HANDLERS),
            telemetry=telemetry,
            body_limit_bytes=settings.body_limit_bytes,
            secure=settings.tls is not None,
        )
        self._server: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """The bound "host:port"; empty before `start`."""
        return self._address

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            OSError: the address is taken or is not one of this machine, or a certificate file cannot be read.
        """
        secured = None if self._settings.tls is None else _secured(self._settings.tls)
        listener = _bound(self._settings.host, self._settings.port)
        config = uvicorn.Config(
            self._app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            ssl_context_factory=None if secured is None else lambda _config, _default: secured,
            h11_max_incomplete_event_size=_HEADER_LIMIT,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=round(self._settings.drain_s),
        )
        self._server = _Uvicorn(config)
        self._serving = asyncio.create_task(self._server.serve([listener]), name=self.name)
        await _first(self._server.listening.wait(), self._serving)
        host, port = listener.getsockname()[:2]
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if self._settings.address_file is not None:
            write_address(self._settings.address_file, self._address)
        get_logger().info("http_serving", component=self.name, listening=self._address)

    async def stop(self) -> None:
        """Accept nothing new, finish the requests in flight within `drain_s`, cancel the rest."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await self._serving
        self._server = self._serving = None
        if self._settings.address_file is not None:
            self._settings.address_file.unlink(missing_ok=True)


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its own idea of a process: it says when it listens and leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _first(ready: Coroutine[Any, Any, object], serving: asyncio.Task[None]) -> None:
    """Wait until ready; raise what ended the serving before that."""
    waiting = asyncio.ensure_future(ready)
    await asyncio.wait((waiting, serving), return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        serving.result()


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _secured(files: TlsFiles) -> ssl.SSLContext:
    """A context whose every handshake shows the certificate that is in the files at that moment."""

    def read() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(files.certificate, files.key)
        return context

    reloaded = Reloaded("http certificate", (files.certificate, files.key), read)

    def choose(handshake: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        handshake.context = reloaded.current()

    first = read()
    first.sni_callback = choose
    return first


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RapportError)
    request.scope[REASON] = error.reason.name
    return error_response(error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = HTTP_ERRORS[_REASONS.get(error.status_code, "REQUEST_REFUSED")]
    response = await _refused(request, HTTP_ERRORS.error(reason.name, reason.meaning))
    response.headers.update(error.headers or {})
    return response


async def _disconnected(request: Request, _: Exception) -> Response:
    return await _refused(request, HTTP_ERRORS.error("REQUEST_REFUSED", "The client went away."))


async def _failed(_request: Request, _: Exception) -> Response:
    return error_response(internal_error())  # the exception goes on to the edge, which logs it


_HANDLERS: Final = {
    RapportError: _refused,
    HTTPException: _http,
    ClientDisconnect: _disconnected,
    Exception: _failed,
}
