"""rapport.notification.v1.TemplateService over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from rapport.notification.v1 import template_pb2, template_pb2_grpc
from rapport_chassis.authored import AuthoredStore
from rapport_chassis.clock import Clock
from rapport_chassis.once import Once, actor, author
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.times import moment

from rapport_notification.app.previewing import Looked, Preview, Wanted
from rapport_notification.domain.contents import Template
from rapport_notification.domain.errors import ERRORS
from rapport_notification.entrypoints.ports import Unit
from rapport_notification.translate.contents import content_of, values_in
from rapport_notification.translate.templates import STATES, template_in, template_message, thing_id

PAGE: Final = 50
MOST: Final = 200
_STORE: Final = AuthoredStore("template")


class TemplateServicer(template_pb2_grpc.TemplateServiceServicer):
    """Answers for templates.

    Args:
        once: Takes changes, each in a transaction, once.
        unit: Opens a transaction.
        check: Refuses a template that could not be rendered.
        forget: Has this process read again what is in force.
        preview: Renders, and sends tests.
        clock: The time.
    """

    def __init__(
        self,
        once: Once[Unit],
        unit: Callable[[], AbstractAsyncContextManager[Unit]],
        check: Callable[[Template], Awaitable[None]],
        forget: Callable[[], None],
        preview: Preview,
        clock: Clock,
    ) -> None:
        self._once = once
        self._unit = unit
        self._check = check
        self._forget = forget
        self._preview = preview
        self._clock = clock

    async def UpsertTemplate(
        self, request: template_pb2.UpsertTemplateRequest, context: Context
    ) -> template_pb2.Template:
        """Draft a version of a template."""
        # Before the transaction: it renders, which takes a while.
        await self._check(template_in(request.template_id, request.brand_id, 1, request.terms))

        async def drafted(unit: Unit) -> template_pb2.Template:
            version = await _STORE.draft(
                unit.connection,
                thing_id(request.template_id, request.brand_id),
                request.terms.SerializeToString(deterministic=True),
                actor=author(),
                now=self._clock.now(),
            )
            return template_message(version)

        return await self._once.run(request, template_pb2.Template, drafted, target=request.template_id)

    async def ActivateTemplate(
        self, request: template_pb2.ActivateTemplateRequest, context: Context
    ) -> template_pb2.Template:
        """Put a version in force."""

        async def activated(unit: Unit) -> template_pb2.Template:
            version = await _STORE.activate(
                unit.connection,
                thing_id(request.template_id, request.brand_id),
                request.version,
                actor=actor(),
                reason=request.reason,
                now=self._clock.now(),
                active_from=moment(request.active_from) if request.HasField("active_from") else None,
            )
            return template_message(version)

        answer = await self._once.run(
            request, template_pb2.Template, activated, target=request.template_id, reason=request.reason
        )
        self._forget()
        return answer

    async def RetireTemplate(
        self, request: template_pb2.RetireTemplateRequest, context: Context
    ) -> template_pb2.Template:
        """Take a template out of force."""

        async def retired(unit: Unit) -> template_pb2.Template:
            versions = await _STORE.retire(
                unit.connection,
                thing_id(request.template_id, request.brand_id),
                actor=actor(),
                reason=request.reason,
                now=self._clock.now(),
            )
            return template_message(versions[-1])

        answer = await self._once.run(
            request, template_pb2.Template, retired, target=request.template_id, reason=request.reason
        )
        self._forget()
        return answer

    async def ListTemplates(
        self, request: template_pb2.ListTemplatesRequest, context: Context
    ) -> template_pb2.ListTemplatesResponse:
        """List versions of templates."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        after = (str(cursor[0]), int(cursor[1])) if cursor else ("", 0)
        async with self._unit() as unit:
            found = await unit.template_versions(request.template_id, STATES.get(request.state), after, size + 1)
        answer = template_pb2.ListTemplatesResponse(templates=map(template_message, found[:size]))
        if len(found) > size:
            last = found[size - 1]
            answer.next_page_token = next_page_token(request, (last.id, last.version))
        return answer

    async def PreviewTemplate(
        self, request: template_pb2.PreviewTemplateRequest, context: Context
    ) -> template_pb2.TemplatePreview:
        """Show what a message would look like."""
        looked = await self._looked(request)
        return template_pb2.TemplatePreview(
            version=looked.version,
            locale=looked.locale,
            subject=looked.texts.subject,
            text=looked.texts.text,
            html=looked.texts.html,
            sms_segments=looked.sms_segments,
        )

    async def SendTest(self, request: template_pb2.SendTestRequest, context: Context) -> template_pb2.SendTestResponse:
        """Send a mail to somebody who looks at a template."""
        self._preview.may_test(request.email)
        looked = await self._looked(request.preview)

        async def sent(unit: Unit) -> template_pb2.SendTestResponse:
            message_id, provider = await self._preview.send(looked, request.email)
            return template_pb2.SendTestResponse(message_id=message_id, provider=provider)

        # The address is hashed with the request, and not kept.
        return await self._once.run(request, template_pb2.SendTestResponse, sent, target=request.preview.template_id)

    async def _looked(self, request: template_pb2.PreviewTemplateRequest) -> Looked:
        async with self._unit() as unit:
            prepared = await unit.template(request.template_id, request.brand_id, request.version)
        if prepared is None:
            raise ERRORS.error("TEMPLATE_NOT_FOUND", "no such template is in force", field="template_id")
        values = values_in(content_of(request.variables))
        return await self._preview.render(Wanted(prepared, request.locale, values))
