"""What people and mail programs reach without a login: unsubscribe, links and pictures; and what providers call.

Whoever follows a link in a mail may be a scanner, so GET never changes anything but a count; a POST to the unsubscribe
link acts (RFC 8058). A provider's calls are signed as Standard Webhooks says.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from rapport_chassis.clock import Clock
from rapport_chassis.errors import RapportError
from rapport_chassis.webhooks import WebhookKey, verified
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from rapport_notification.app.engaging import Engaging
from rapport_notification.app.unsubscribing import Method, Unsubscribing
from rapport_notification.domain.engagement import Engagement, looks_like
from rapport_notification.domain.errors import ERRORS
from rapport_notification.entrypoints.edge_ports import EdgeStore
from rapport_notification.entrypoints.pages import Pages
from rapport_notification.sending.tracking import CLICK_PAGE, OPEN_PAGE, Tracking
from rapport_notification.sending.unsubscribe import PAGE, UnsubscribeLinks

MAILS: Final = "/feedback/mails"
TEXTS: Final = "/feedback/texts"

_ONE_CLICK: Final = b"List-Unsubscribe=One-Click"
_INVALID: Final = frozenset({"LINK_INVALID", "LINK_PURPOSE_WRONG", "LINK_EXPIRED"})
_PICTURE: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


class Feedback(Protocol):
    """Takes what providers call with; the same again changes nothing."""

    async def mail(self, mail: bytes) -> None:
        """Take a mail that came back."""
        ...

    async def text(self, body: bytes, call_id: str) -> str:
        """Take an answer to a text message; return what it means, "" if the call was made before.

        Raises:
            RapportError: CALL_MALFORMED.
        """
        ...


@dataclass(frozen=True)
class Site:
    """What is served.

    Attributes:
        store: Opens transactions.
        links: Opens unsubscribe links.
        tracking: Opens links and pictures.
        unsubscribing: Writes down who wants no more.
        engaging: Notes what is done with messages; None where nothing is tracked.
        feedback: Takes what providers call with.
        keys: Whose calls are taken; none for nobody's.
        pages: Writes pages.
        clock: The time.
    """

    store: EdgeStore
    links: UnsubscribeLinks
    tracking: Tracking
    unsubscribing: Unsubscribing
    engaging: Engaging | None
    feedback: Feedback
    keys: tuple[WebhookKey, ...]
    pages: Pages
    clock: Clock

    def routes(self) -> list[Route]:
        """Return what is served where."""
        return [
            Route(f"{PAGE}{{token}}", self._asked, methods=["GET"]),
            Route(f"{PAGE}{{token}}", self._unsubscribed, methods=["POST"]),
            Route(f"{CLICK_PAGE}{{token}}", self._followed, methods=["GET"]),
            Route(f"{OPEN_PAGE}{{token}}", self._opened, methods=["GET"]),
            Route(MAILS, self._signed(self._mail), methods=["POST"]),
            Route(TEXTS, self._signed(self._text), methods=["POST"]),
        ]

    async def _asked(self, request: Request) -> Response:
        """Show a page, and do nothing: scanners open every link."""
        language = request.headers.get("accept-language", "")
        try:
            self.links.message(request.path_params["token"])
        except RapportError as error:
            return self._refused(error, language)
        return self.pages.question(language)

    async def _unsubscribed(self, request: Request) -> Response:
        language = request.headers.get("accept-language", "")
        try:
            notification_id = self.links.message(request.path_params["token"])
        except RapportError as error:
            return self._refused(error, language)
        method = Method.ONE_CLICK if _ONE_CLICK in await request.body() else Method.LINK
        async with self.store.unit() as unit:
            stored = await unit.messages.find(notification_id)
            if stored is not None:
                await self.unsubscribing.of_message(unit, stored, method)
        self.unsubscribing.wake()
        # Of an erased person nothing is left to write down, and nothing is sent any more.
        return self.pages.done(language)

    async def _followed(self, request: Request) -> Response:
        try:
            notification_id, link, target = self.tracking.followed(request.path_params["token"])
        except RapportError as error:
            return self._refused(error, request.headers.get("accept-language", ""))
        await self._note(request, notification_id, Engagement.CLICKED, link)
        return RedirectResponse(target, 302)

    async def _opened(self, request: Request) -> Response:
        try:
            notification_id = self.tracking.opened(request.path_params["token"])
            await self._note(request, notification_id, Engagement.OPENED, "")
        except RapportError as error:
            if error.reason.name not in _INVALID:
                raise
        return Response(_PICTURE, media_type="image/gif")

    async def _note(self, request: Request, notification_id: str, engagement: Engagement, link: str) -> None:
        """Note that something was done; a link leads on also where it cannot be noted."""
        if self.engaging is None:
            return
        prefetch = "prefetch" in request.headers.get("sec-purpose", "") + request.headers.get("purpose", "")
        looks = looks_like(request.method, request.headers.get("user-agent", ""), prefetch=prefetch)
        try:
            await self.engaging.seen(notification_id, engagement, link, looks)
        except RapportError as error:
            if not error.reason.retryable:
                raise

    def _signed(self, take: Callable[[bytes, str], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            body = await request.body()
            if not verified(request.headers, body, self.keys, round(self.clock.now().timestamp())):
                raise ERRORS.error("CALL_NOT_SIGNED", "the call is not signed by a key that is known here")
            return await take(body, request.headers["webhook-id"])

        return checked

    async def _mail(self, body: bytes, _: str) -> Response:
        await self.feedback.mail(body)
        return JSONResponse({"taken": True})

    async def _text(self, body: bytes, call_id: str) -> Response:
        return JSONResponse({"meaning": await self.feedback.text(body, call_id)})

    def _refused(self, error: RapportError, language: str) -> Response:
        if error.reason.name not in _INVALID:
            raise error
        return self.pages.gone(language, 410 if error.reason.name == "LINK_EXPIRED" else 404)
