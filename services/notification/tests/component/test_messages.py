"""Messages from the call to the mail server: sent if everything allows it, explained whatever became of them."""

from __future__ import annotations

import asyncio
import email
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dkim
import pytest
from notification_desk import Desk, advertising, message, request_id, terms
from notification_installation import MARKETING, STREAM, NotificationInstallation
from rapport.consent.v1 import consent_pb2
from rapport.notification.v1 import content_pb2, events_pb2, notification_pb2, preference_pb2, template_pb2
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp
from rapport_notification.conformance.smtp_sink import Fault
from rapport_testing.prove import Scale
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually


def zone_at(*hours: int) -> str:
    """A zone in which it is one of these hours."""
    zones = [f"Etc/GMT{offset:+d}" for offset in range(-14, 13)]
    return next(zone for zone in zones if datetime.now(UTC).astimezone(ZoneInfo(zone)).hour in hours)


async def test_a_message_arrives_signed_and_can_be_explained(
    installation: NotificationInstallation, desk: Desk
) -> None:
    person = installation.person()
    notification_id = await desk.send(message(person))
    record = await desk.becomes(notification_id, "SENT")
    (mail,) = installation.mails(person)
    assert dkim.verify(mail, dnsfunc=lambda *_, **__: installation.dkim_record)
    parsed = email.message_from_bytes(mail)
    assert parsed["Subject"] == "News: The lamp"
    assert parsed["Message-ID"] == f"<{notification_id}.1@mail.brand.example>"
    plain, html = (bytes(part.get_payload(decode=True)).decode() for part in parsed.walk() if not part.is_multipart())
    assert "Hello Zoë: The lamp" in plain
    assert "https://mail.brand.example/u/" in html
    (attempt,) = record.attempts
    assert (attempt.provider, attempt.outcome) == ("sink", notification_pb2.ATTEMPT_OUTCOME_SENT)
    assert attempt.permission.answer == consent_pb2.ANSWER_PERMIT

    explanation = await desk.explain(notification_id)
    (receipt,) = explanation.receipts
    assert explanation.intact
    assert receipt.decision == notification_pb2.SEND_DECISION_SEND
    assert receipt.template == "news@1@@en"
    assert receipt.permission.position.position == attempt.permission.position.position

    async def told() -> bool:
        stored = await installation.broker().stored(STREAM)
        names = [each.subject.split(".")[3] for each in stored if notification_id.encode() in each.data]
        return sorted(names) == ["notification_accepted", "notification_sent"]

    await eventually(told, timeout_s=20)
    address = installation.book.emails[person].encode()
    assert not [each for each in await installation.broker().stored(STREAM) if address in each.data]


async def test_what_is_not_permitted_is_dropped_and_told_why(
    installation: NotificationInstallation, desk: Desk
) -> None:
    person = installation.person()
    notification_id = await desk.send(advertising(person))
    record = await desk.becomes(notification_id, "DROPPED")
    assert record.drop_reason == events_pb2.DROP_REASON_NOT_PERMITTED
    (receipt,) = (await desk.explain(notification_id)).receipts
    assert receipt.decision == notification_pb2.SEND_DECISION_DROP
    assert receipt.permission.reason == consent_pb2.DECISION_REASON_NO_DECISION
    assert installation.mails(person) == []


async def test_advertising_waits_where_it_is_night_and_goes_where_it_is_day(
    installation: NotificationInstallation, desk: Desk
) -> None:
    night, day = installation.person(MARKETING), installation.person(MARKETING)
    await desk.lives(night, zone_at(1, 2, 3))
    await desk.lives(day, zone_at(11, 12, 13))
    notification_id = await desk.send(advertising(night, at_least=installation.token))
    await desk.becomes(await desk.send(advertising(day, at_least=installation.token)), "SENT")
    (mail,) = installation.mails(day)
    headers = email.message_from_bytes(mail)
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["List-Unsubscribe"].startswith("<https://mail.brand.example/u/")

    async def waits() -> bool:
        return (await desk.get(notification_id)).hold_reason == events_pb2.HOLD_REASON_QUIET_HOURS

    await eventually(waits, timeout_s=20)
    receipt = (await desk.explain(notification_id)).receipts[-1]
    assert not receipt.window.open
    assert receipt.window.sources == ["declared"]
    assert receipt.window.opens_at.ToDatetime(UTC) > datetime.now(UTC)
    assert installation.mails(night) == []


async def test_what_is_withdrawn_between_taking_on_and_sending_is_not_sent(
    installation: NotificationInstallation, desk: Desk
) -> None:
    person = installation.person(MARKETING)
    await desk.lives(person, zone_at(11, 12, 13))
    soon = stamp(datetime.now(UTC) + timedelta(seconds=1))
    notification_id = await desk.send(advertising(person, not_before=soon))
    await asyncio.to_thread(installation.ledger.withdraw, person, MARKETING)
    record = await desk.becomes(notification_id, "DROPPED")
    assert record.drop_reason == events_pb2.DROP_REASON_NOT_PERMITTED
    (receipt,) = (await desk.explain(notification_id)).receipts
    assert receipt.permission.reason == consent_pb2.DECISION_REASON_WITHDRAWN
    assert installation.mails(person) == []


async def test_what_a_person_does_not_want_is_dropped_unless_it_is_owed(
    installation: NotificationInstallation, desk: Desk
) -> None:
    person = installation.person()
    await desk.rule("invoices", category=preference_pb2.CategoryTerms(owed=True))
    await desk.preferences.SetPreferences(
        preference_pb2.SetPreferencesRequest(
            request_id=request_id(),
            profile_id=person,
            preferences=[preference_pb2.Preference(category="*", wanted=False)],
        )
    )
    unwanted = await desk.send(message(person, category="orders"))
    record = await desk.becomes(unwanted, "DROPPED")
    assert record.drop_reason == events_pb2.DROP_REASON_PREFERENCE
    await desk.becomes(await desk.send(message(person, category="invoices")), "SENT")
    (receipt,) = (await desk.explain(unwanted)).receipts
    assert (receipt.preference.category, receipt.preference.wanted) == ("*", False)


async def test_a_request_and_a_cause_make_one_message(installation: NotificationInstallation, desk: Desk) -> None:
    person, event = installation.person(), new_id("event")
    asked = message(person, cause_event_id=event)
    first = await desk.send(asked)
    assert await desk.send(asked) == first
    assert await desk.send(message(person, cause_event_id=event)) == first
    await desk.becomes(first, "SENT")
    assert len(installation.mails(person)) == 1
    with refused("REQUEST_ID_REUSED"):
        await desk.send(message(person, request_id=asked.request_id))


async def test_a_newer_message_takes_the_place_of_one_that_waits(
    installation: NotificationInstallation, desk: Desk
) -> None:
    person = installation.person()
    now = datetime.now(UTC)
    later: dict[str, Any] = {"not_before": stamp(now + timedelta(hours=1)), "supersede_key": "price:lamp"}
    old = await desk.send(message(person, about_at=stamp(now - timedelta(minutes=2)), **later))
    new = await desk.send(message(person, about_at=stamp(now - timedelta(minutes=1)), **later))
    stale = await desk.send(message(person, about_at=stamp(now - timedelta(minutes=3)), **later))
    states = [(await desk.get(each)).state for each in (old, new, stale)]
    superseded, accepted = (
        notification_pb2.NOTIFICATION_STATE_SUPERSEDED,
        notification_pb2.NOTIFICATION_STATE_ACCEPTED,
    )
    assert states == [superseded, accepted, superseded]
    cancelled = await desk.messages.CancelNotification(
        notification_pb2.CancelNotificationRequest(request_id=request_id(), notification_id=new)
    )
    assert cancelled.state == notification_pb2.NOTIFICATION_STATE_CANCELLED
    with refused("NOTIFICATION_ENDED"):
        await desk.messages.CancelNotification(
            notification_pb2.CancelNotificationRequest(request_id=request_id(), notification_id=old)
        )
    listed = await desk.messages.ListNotifications(
        notification_pb2.ListNotificationsRequest(recipient_id=person, page_size=2)
    )
    assert [each.notification.notification_id for each in listed.notifications] == [stale, new]
    rest = await desk.messages.ListNotifications(
        notification_pb2.ListNotificationsRequest(recipient_id=person, page_size=2, page_token=listed.next_page_token)
    )
    assert [each.notification.notification_id for each in rest.notifications] == [old]


async def test_many_senders_at_once_never_exceed_a_cap(
    installation: NotificationInstallation, desk: Desk, scale: Scale, prove
) -> None:
    senders = scale.pick(small=12, full=64)
    category = f"c{request_id()[:8]}"
    await desk.rule(f"cap-{category}", cap=preference_pb2.CapTerms(limit=3, days=1, categories=[category]))
    person = installation.person()
    ids = await asyncio.gather(*(desk.send(message(person, category=category)) for _ in range(senders)))
    records = [await desk.becomes(each, "SENT", "HELD", "DROPPED") for each in ids]
    sent = [each for each in records if each.state == notification_pb2.NOTIFICATION_STATE_SENT]
    held = [each for each in records if each.hold_reason == events_pb2.HOLD_REASON_FREQUENCY_CAP]
    prove("notification", senders_on_one_cap=senders, sent_under_a_cap_of_3=len(sent))
    assert (len(sent), len(held)) == (3, senders - 3)
    assert len(installation.mails(person)) == 3
    receipt = (await desk.explain(held[0].notification.notification_id)).receipts[-1]
    assert [(cap.taken, cap.limit) for cap in receipt.caps] == [(3, 3)]


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"template_id": "nothing"}, "TEMPLATE_NOT_FOUND", "template_id"),
        ({"purpose_id": "contract.servise"}, "PURPOSE_UNKNOWN", "purpose_id"),
        ({"variables": {}}, "VALUES_INVALID", "variables"),
        (
            {"variables": {"title": content_pb2.ContentValue(text="for zoe@customers.example")}},
            "VALUE_NAMES_SOMEBODY",
            "variables.title",
        ),
        (
            {"channels": [notification_pb2.ChannelOption(channel=events_pb2.CHANNEL_SMS)]},
            "CHANNEL_NOT_OFFERED",
            "channels[0].channel",
        ),
        ({"recipient_id": "somebody"}, "INVALID_REQUEST", "recipient_id"),
    ],
)
async def test_a_message_that_could_never_be_sent_is_refused(
    installation: NotificationInstallation, desk: Desk, fields: dict[str, Any], reason: str, field: str
) -> None:
    with refused(reason, field):
        await desk.send(message(installation.person(), **fields))


async def test_an_address_that_does_not_exist_is_given_up(installation: NotificationInstallation, desk: Desk) -> None:
    person = installation.person()
    installation.fault = Fault.REFUSE_RECIPIENT
    try:
        failed = await desk.becomes(await desk.send(message(person)), "FAILED")
    finally:
        installation.fault = Fault.NONE
    assert failed.attempts[0].code == "550 5.1.1"
    dropped = await desk.becomes(await desk.send(message(person)), "DROPPED")
    assert dropped.drop_reason == events_pb2.DROP_REASON_SUPPRESSED
    assert installation.mails(person) == []


async def test_a_privacy_request_is_answered_at_the_address_in_its_vault_and_not_once_that_is_emptied(
    installation: NotificationInstallation, desk: Desk
) -> None:
    asked, emptied = new_id("privacy_request"), new_id("privacy_request")
    installation.vault.emails[asked] = f"{asked[4:].lower()}@requests.example"
    duty: dict[str, Any] = {"class": events_pb2.MESSAGE_CLASS_LEGAL, "purpose_id": ""}
    notice = await desk.send(message(asked, **duty))
    await desk.becomes(notice, "SENT")
    assert installation.vault.taken == [(asked, notice)]
    (mail,) = [each for each in installation.sink.taken.mails if installation.vault.emails[asked].encode() in each]
    assert email.message_from_bytes(mail)["List-Unsubscribe"] is None
    dropped = await desk.becomes(await desk.send(message(emptied, **duty)), "DROPPED")
    assert dropped.drop_reason == events_pb2.DROP_REASON_UNREACHABLE


async def test_a_template_is_looked_at_before_it_is_taken_and_previewed(desk: Desk) -> None:
    bad = terms()
    bad.texts["en"].text = "{{ unknown }}"
    with refused("TEMPLATE_INVALID", "terms.texts"):
        await desk.template("bad", bad)
    preview = await desk.templates.PreviewTemplate(
        template_pb2.PreviewTemplateRequest(
            template_id="news", variables={"title": content_pb2.ContentValue(text="<b>Lamp</b>")}
        )
    )
    assert preview.subject == "News: <b>Lamp</b>"
    assert "&lt;b&gt;Lamp" in preview.html
    with refused("TEST_NOT_ALLOWED", "email"):
        await desk.templates.SendTest(
            template_pb2.SendTestRequest(
                request_id=request_id(),
                preview=template_pb2.PreviewTemplateRequest(template_id="news"),
                email="a@elsewhere.example",
            )
        )
