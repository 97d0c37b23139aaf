"""The notification service as its callers have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from grpc_health.v1 import health_pb2, health_pb2_grpc
from notification_installation import EDITOR, MARKETING, OFFICE, SERVICE, SHOP
from rapport.notification.v1 import (
    authored_pb2,
    content_pb2,
    events_pb2,
    feedback_pb2_grpc,
    notification_pb2,
    notification_pb2_grpc,
    preference_pb2,
    preference_pb2_grpc,
    template_pb2,
    template_pb2_grpc,
    trigger_pb2_grpc,
    watch_pb2_grpc,
)
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.installation import Installation
from rapport_testing.waiting import eventually

_DONE: Final = notification_pb2.NotificationState


def request_id() -> str:
    """A request id that was never used."""
    return str(uuid4())


def terms(text: str = "Hello {{ recipient_given_name }}: {{ title }}", **fields: Any) -> template_pb2.TemplateTerms:
    """What a template says in two parts."""
    mjml = (
        "<mjml><mj-body><mj-section><mj-column><mj-text>{{ title }}</mj-text>"
        '<mj-button href="{{ unsubscribe_url }}">No more</mj-button></mj-column></mj-section></mj-body></mjml>'
    )
    made = template_pb2.TemplateTerms(locale="en", channels=[events_pb2.CHANNEL_EMAIL], **fields)
    made.variables["title"].kind = template_pb2.VARIABLE_KIND_TEXT
    made.texts["en"].CopyFrom(template_pb2.TemplateTexts(subject="News: {{ title }}", text=text, mjml=mjml))
    return made


def message(profile_id: str, template_id: str = "news", **fields: Any) -> notification_pb2.SendNotificationRequest:
    """A message to somebody: service to a contract unless more is said."""
    given: dict[str, Any] = {
        "request_id": request_id(),
        "recipient_id": profile_id,
        "template_id": template_id,
        "category": "orders",
        "class": events_pb2.MESSAGE_CLASS_SERVICE,
        "purpose_id": SERVICE,
        "variables": {"title": content_pb2.ContentValue(text="The lamp")},
    }
    return notification_pb2.SendNotificationRequest(**given | fields)


def advertising(profile_id: str, **fields: Any) -> notification_pb2.SendNotificationRequest:
    """Advertising to somebody who lives where it is day now, unless more is said."""
    given: dict[str, Any] = {"class": events_pb2.MESSAGE_CLASS_MARKETING, "category": "offers", "purpose_id": MARKETING}
    return message(profile_id, **given | fields)


def daylight() -> str:
    """Return a zone in which it is about noon, as far as one goes."""
    offset = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-offset:+d}" if offset else "Etc/UTC"


@dataclass(frozen=True)
class Desk:
    """A place from which the service is called: by a shop, and by an editor who is a person.

    Attributes:
        messages: With the certificate of a shop that may send.
        office: The same, with that of an office.
        templates: With that of an office and the token of an editor.
        preferences: The same.
        health: Asks for readiness.
        triggers: With the certificate of an office and the token of an editor.
        watches: With that of an office.
        feedback: The same, with the token.
    """

    messages: notification_pb2_grpc.NotificationServiceAsyncStub
    office: notification_pb2_grpc.NotificationServiceAsyncStub
    templates: template_pb2_grpc.TemplateServiceAsyncStub
    preferences: preference_pb2_grpc.PreferenceServiceAsyncStub
    health: health_pb2_grpc.HealthAsyncStub  # type: ignore[name-defined]
    triggers: trigger_pb2_grpc.TriggerServiceAsyncStub
    watches: watch_pb2_grpc.WatchServiceAsyncStub
    feedback: feedback_pb2_grpc.FeedbackServiceAsyncStub

    async def template(
        self, template_id: str = "news", made: template_pb2.TemplateTerms | None = None, brand_id: str = ""
    ) -> template_pb2.Template:
        """Draft a template and put it in force."""
        drafted = await self.templates.UpsertTemplate(
            template_pb2.UpsertTemplateRequest(
                request_id=request_id(), template_id=template_id, brand_id=brand_id, terms=made or terms()
            )
        )
        assert drafted.status.state == authored_pb2.VERSION_STATE_DRAFT
        return await self.templates.ActivateTemplate(
            template_pb2.ActivateTemplateRequest(
                request_id=request_id(),
                template_id=template_id,
                brand_id=brand_id,
                version=drafted.status.version,
                reason="opened",
            )
        )

    async def rule(self, name: str, **what: Any) -> preference_pb2.SendingRule:
        """Draft a category or a cap and put it in force."""
        drafted = await self.preferences.UpsertRule(
            preference_pb2.UpsertRuleRequest(request_id=request_id(), name=name, **what)
        )
        kind = (
            preference_pb2.SENDING_RULE_KIND_CATEGORY
            if drafted.HasField("category")
            else preference_pb2.SENDING_RULE_KIND_CAP
        )
        return await self.preferences.ActivateRule(
            preference_pb2.ActivateRuleRequest(
                request_id=request_id(), kind=kind, name=name, version=drafted.status.version, reason="opened"
            )
        )

    async def lives(self, profile_id: str, zone: str) -> None:
        """Have a person say where they live."""
        await self.preferences.SetPreferences(
            preference_pb2.SetPreferencesRequest(
                request_id=request_id(),
                profile_id=profile_id,
                place=preference_pb2.DeclaredPlace(zone=zone, country="US"),  # no rule about Sundays
            )
        )

    async def send(self, request: notification_pb2.SendNotificationRequest) -> str:
        """Send a message and return its id."""
        return (await self.messages.SendNotification(request)).notification.notification_id

    async def get(self, notification_id: str) -> notification_pb2.NotificationRecord:
        """Return a message."""
        request = notification_pb2.GetNotificationRequest(notification_id=notification_id)
        return await self.messages.GetNotification(request)

    async def explain(self, notification_id: str) -> notification_pb2.NotificationExplanation:
        """Say why a message was sent, or not."""
        request = notification_pb2.ExplainNotificationRequest(notification_id=notification_id)
        return await self.messages.ExplainNotification(request)

    async def becomes(
        self, notification_id: str, *states: str, timeout_s: float = 20
    ) -> notification_pb2.NotificationRecord:
        """Wait until a message is in one of these states, such as "SENT", and return it."""
        wanted = {_DONE.Value(f"NOTIFICATION_STATE_{each}") for each in states}

        async def there() -> bool:
            return (await self.get(notification_id)).state in wanted

        await eventually(there, timeout_s=timeout_s, interval_s=0.05)
        return await self.get(notification_id)

    async def until_ready(self) -> None:
        """Wait until the service can answer."""

        async def serving() -> bool:
            try:
                answer = await self.health.Check(health_pb2.HealthCheckRequest(service="api"))
            except RemoteError:
                return False
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        await eventually(serving, timeout_s=30)


@asynccontextmanager
async def open_desk(installation: Installation, *, process: str = "service") -> AsyncIterator[Desk]:
    """Call a process of the service."""
    shop = installation.client(SHOP, process=process)
    office = installation.client(OFFICE, process=process)
    token = installation.actor_token(OFFICE, roles=[EDITOR])
    try:
        yield Desk(
            shop.stub(notification_pb2_grpc.NotificationServiceStub),
            office.stub(notification_pb2_grpc.NotificationServiceStub),
            office.stub(template_pb2_grpc.TemplateServiceStub, actor_token=token),
            office.stub(preference_pb2_grpc.PreferenceServiceStub, actor_token=token),
            shop.stub(health_pb2_grpc.HealthStub),
            office.stub(trigger_pb2_grpc.TriggerServiceStub, actor_token=token),
            office.stub(watch_pb2_grpc.WatchServiceStub),
            office.stub(feedback_pb2_grpc.FeedbackServiceStub, actor_token=token),
        )
    finally:
        await shop.close()
        await office.close()


def furnish(installation: Installation) -> None:
    """Have a template in force. Not to be called in a thread in which an event loop runs."""

    async def furnished() -> None:
        async with open_desk(installation) as desk:
            await desk.until_ready()
            await desk.template()

    asyncio.run(furnished())
