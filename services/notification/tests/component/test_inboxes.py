"""What is put into an inbox, and read there: a reader goes on where it left off."""

from __future__ import annotations

from typing import Any

from notification_desk import Desk, message, request_id, terms
from notification_installation import NotificationInstallation
from rapport.notification.v1 import events_pb2, notification_pb2, template_pb2
from rapport_testing.refusals import refused


async def test_an_inbox_goes_on_where_it_was_left(installation: NotificationInstallation, desk: Desk) -> None:
    who = installation.person()
    inbox: dict[str, Any] = {
        "channels": [notification_pb2.ChannelOption(channel=events_pb2.CHANNEL_IN_APP)],
        "template_id": "inside",
    }
    await desk.template("inside", _inside())
    first = await desk.send(message(who, **inbox))
    await desk.becomes(first, "SENT")
    (one,) = [each async for each in desk.office.StreamInbox(_stream(who, drain=True))]
    assert (one.message.notification_id, one.message.subject) == (first, "News: The lamp")
    assert "Vantongeren" not in str(one)

    live = desk.office.StreamInbox(_stream(who, resume_token=one.resume_token)).__aiter__()
    second = await desk.send(message(who, **inbox))
    came = await anext(live)
    assert came.message.notification_id == second
    marked = await desk.office.MarkInboxRead(
        notification_pb2.MarkInboxReadRequest(
            request_id=request_id(), profile_id=who, notification_ids=[first, first[:-1] + "x"]
        )
    )
    assert marked.marked == 1
    changed = await anext(live)
    assert (changed.message.notification_id, changed.message.HasField("read_at")) == (first, True)
    with refused("PAGE_TOKEN_INVALID", "resume_token"):
        await anext(desk.office.StreamInbox(_stream(who, resume_token="x1")).__aiter__())


def _inside() -> template_pb2.TemplateTerms:
    made = terms()
    del made.channels[:]
    made.channels.append(events_pb2.CHANNEL_IN_APP)
    made.texts["en"].mjml = ""
    return made


def _stream(who: str, **fields: Any) -> notification_pb2.StreamInboxRequest:
    return notification_pb2.StreamInboxRequest(profile_id=who, **fields)
