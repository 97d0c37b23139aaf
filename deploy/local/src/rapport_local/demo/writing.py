"""The scenes about what is written to customers: an offer becomes a mail, enough is enough, one click ends it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from email import message_from_bytes
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from google.type import date_pb2
from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport.notification.v1 import (
    content_pb2,
    events_pb2,
    notification_pb2,
    preference_pb2,
    template_pb2,
    trigger_pb2,
)
from rapport.pricing.v1 import events_pb2 as pricing_events_pb2
from rapport.pricing.v1 import pricing_pb2

from rapport_local.demo.arriving import OFFERS, Known
from rapport_local.demo.asking import request_id, until
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import EMAIL, NORTH
from rapport_local.demo.shop import EDITOR, Cast
from rapport_local.demo.trees import short
from rapport_local.environment import HOST

ALWAYS_OPEN: Final = Path(__file__).with_name("always_open.json")
"""Quiet hours of the story: none."""

_OFFER: Final = "retention_offer"
_PAGE: Final = 500
_SENT_S: Final = 90.0
_LOOK_EVERY_S: Final = 0.1
_SENT: Final = notification_pb2.NOTIFICATION_STATE_SENT
_HELD: Final = notification_pb2.NOTIFICATION_STATE_HELD
_DROPPED: Final = notification_pb2.NOTIFICATION_STATE_DROPPED
_MARKETING: Final = events_pb2.MESSAGE_CLASS_MARKETING


async def authored(report: Report, cast: Cast) -> None:
    """An editor takes what ships, says which purpose allows it, and puts it in force."""
    listed = await until(
        lambda: cast.triggers.ListTriggers(trigger_pb2.ListTriggersRequest()), lambda found: bool(found.triggers)
    )
    (shipped,) = [each for each in listed.triggers if each.trigger_id == _OFFER]
    report.say(f"{len(listed.triggers)} triggers and their templates ship as drafts. {EDITOR} adapts one of them.")
    templates = await cast.templates.ListTemplates(template_pb2.ListTemplatesRequest(template_id=_OFFER))
    await cast.templates.ActivateTemplate(
        template_pb2.ActivateTemplateRequest(
            request_id=request_id(),
            template_id=_OFFER,
            version=templates.templates[0].status.version,
            reason="launch",
        )
    )
    terms = shipped.terms
    terms.purpose_id, terms.brand_id = EMAIL, NORTH
    drafted = await cast.triggers.UpsertTrigger(
        trigger_pb2.UpsertTriggerRequest(request_id=request_id(), trigger_id=_OFFER, terms=terms)
    )
    tried = await cast.triggers.SimulateTrigger(
        trigger_pb2.SimulateTriggerRequest(trigger_id=_OFFER, version=drafted.status.version)
    )
    active = await cast.triggers.ActivateTrigger(
        trigger_pb2.ActivateTriggerRequest(
            request_id=request_id(), trigger_id=_OFFER, version=drafted.status.version, reason="launch"
        )
    )
    cap = await cast.rules.UpsertRule(
        preference_pb2.UpsertRuleRequest(
            request_id=request_id(), name="one.a.day", cap=preference_pb2.CapTerms(limit=1, days=1)
        )
    )
    await cast.rules.ActivateRule(
        preference_pb2.ActivateRuleRequest(
            request_id=request_id(),
            kind=preference_pb2.SENDING_RULE_KIND_CAP,
            name="one.a.day",
            version=cap.status.version,
            reason="enough",
        )
    )
    report.rows(
        [
            ("when", "if", "then", "allowed by"),
            (terms.event, _conditions(terms), terms.template_id, EMAIL),
        ]
    )
    report.expect(
        (tried.events, tried.sent, active.status.decided_by) == (0, 0, EDITOR),
        "tried on what happened so far it writes to nobody; an editor lets it act",
    )


async def sent(
    report: Report, cast: Cast, known: Known, treated: Mapping[str, pricing_events_pb2.Offer]
) -> dict[str, notification_pb2.NotificationRecord]:
    """Who was made an offer gets it as a mail, once, if that is allowed and wanted; return what was sent to whom."""
    told = known.by_profile()
    still = await _still_open(cast, treated)
    wanted = {who for who in still if told[who].allows(EMAIL) and told[who].wants_offers}
    found = await until(
        lambda: _messages(cast), lambda found: _ended(found, still), within_s=_SENT_S, every_s=_LOOK_EVERY_S
    )
    mailed = {each.notification.recipient_id: each for each in found if each.state == _SENT}
    who = next(iter(sorted(mailed)))
    await _shown(report, cast, mailed[who], len(mailed))
    report.expect(
        set(mailed) >= wanted and all(told[each].allows(EMAIL) and told[each].wants_offers for each in mailed),
        "who has an offer, allows mails and wants offers got one; nobody else did",
    )
    report.expect(len(_files(cast)) == len(mailed) == len({*mailed}), "one mail each, as a file in the sink")
    await _enough(report, cast, who)
    counts = Counter(_became(each) for each in await _messages(cast))
    report.rows(
        [
            ("messages", "", "why"),
            *((str(count), state, why) for (state, why), count in sorted(counts.items(), key=lambda each: -each[1])),
        ]
    )
    refused = {each.notification.recipient_id: each.drop_reason for each in found if each.state == _DROPPED}
    report.expect(
        all(told[each].allows(EMAIL) == (why == events_pb2.DROP_REASON_PREFERENCE) for each, why in refused.items()),
        "what was dropped says why: it was not permitted, or not wanted",
    )
    dropped = ", ".join(f"{count} {why}" for (state, why), count in counts.items() if state == "dropped")
    report.figure("mails sent", f"{len(mailed)}", f"dropped: {dropped}" if dropped else "none dropped")
    return mailed


async def one_click(report: Report, cast: Cast, record: notification_pb2.NotificationRecord) -> None:
    """The customer follows the link in the mail, and that is the end of it."""
    who, mail = record.notification.recipient_id, _mail(cast, record)
    link = urlsplit(str(mail["List-Unsubscribe"]).strip("<>"))
    looked = await asyncio.to_thread(_call, cast, "GET", link.path)
    state = await _consent(cast, who)
    report.expect(
        (looked, state) == (200, ledger_pb2.CONSENT_STATUS_GRANTED), "a scanner follows the link: a page, no more"
    )
    began = time.perf_counter()
    clicked = await asyncio.to_thread(_call, cast, "POST", link.path)
    await until(lambda: _consent(cast, who), lambda found: found == ledger_pb2.CONSENT_STATUS_WITHDRAWN)
    took_s = time.perf_counter() - began
    report.expect(clicked == 200, f"the customer clicks once: in the consent ledger {took_s * 1000:.0f} ms later")
    dropped = await until(
        lambda: _state(cast, who, "never"), lambda found: found.state == _DROPPED, every_s=_LOOK_EVERY_S
    )
    report.expect(
        dropped.drop_reason == events_pb2.DROP_REASON_NOT_PERMITTED, "the next message is refused: not permitted"
    )
    report.figure("from one click to the ledger", f"{took_s * 1000:.0f} ms", "and the next message is refused")


async def _shown(report: Report, cast: Cast, record: notification_pb2.NotificationRecord, count: int) -> None:
    mail = _mail(cast, record)
    why = await cast.messages.ExplainNotification(
        notification_pb2.ExplainNotificationRequest(notification_id=record.notification.notification_id)
    )
    receipt = why.receipts[-1]
    report.say(f"Each mail is a file in {cast.environment.mails.name}/ of the environment. One of {count}:")
    report.rows(
        [
            ("Subject", str(mail["Subject"])),
            ("List-Unsubscribe-Post", str(mail["List-Unsubscribe-Post"])),
            ("allowed by", f"{EMAIL}, ledger position {receipt.permission.position.position}"),
            ("template", receipt.template),
            ("led to by", short(record.notification.decision_ids[0])),
        ],
        heading=False,
    )
    report.expect(why.intact, "asked why, the decision is shown as it was sealed: consent, caps, provider")


async def _enough(report: Report, cast: Cast, who: str) -> None:
    record = await until(lambda: _state(cast, who, "again"), lambda found: found.state == _HELD, every_s=_LOOK_EVERY_S)
    report.expect(
        record.hold_reason == events_pb2.HOLD_REASON_FREQUENCY_CAP,
        "a second one today waits, and says why: enough is enough",
    )


async def _still_open(cast: Cast, treated: Mapping[str, pricing_events_pb2.Offer]) -> set[str]:
    """Return whose offer can be used still."""
    found = set()
    for who in treated:
        listed = await cast.prices.ListOffers(pricing_pb2.ListOffersRequest(profile_id=who))
        found |= {who} if listed.offers else set()
    return found


async def _messages(cast: Cast) -> list[notification_pb2.NotificationRecord]:
    """Return all messages, what was not sent included."""
    request = notification_pb2.ListNotificationsRequest(page_size=_PAGE)
    return list((await cast.messages.ListNotifications(request)).notifications)


def _ended(found: Iterable[notification_pb2.NotificationRecord], people: set[str]) -> bool:
    """Whether it is decided for all of these what becomes of their message."""
    return people <= {each.notification.recipient_id for each in found if each.state in (_SENT, _DROPPED, _HELD)}


def _became(record: notification_pb2.NotificationRecord) -> tuple[str, str]:
    """Return what became of a message, and why."""
    state = notification_pb2.NotificationState.Name(record.state).removeprefix("NOTIFICATION_STATE_").lower()
    reason = "permitted, wanted, and not too much"
    if record.state == _HELD:
        reason = events_pb2.HoldReason.Name(record.hold_reason).removeprefix("HOLD_REASON_")
    elif record.drop_reason:
        reason = events_pb2.DropReason.Name(record.drop_reason).removeprefix("DROP_REASON_")
    elif record.state != _SENT:
        reason = "the offer is over"
    return state, reason.replace("_", " ").lower()


async def _state(cast: Cast, who: str, about: str) -> notification_pb2.NotificationRecord:
    """Return a message about something, taken on when it is first asked for."""
    request = notification_pb2.SendNotificationRequest(
        request_id=request_id(),
        recipient_id=who,
        template_id=_OFFER,
        brand_id=NORTH,
        category=OFFERS,
        purpose_id=EMAIL,
        cause_event_id=f"evt_{about}{who[4:]}",
        channels=[notification_pb2.ChannelOption(channel=events_pb2.CHANNEL_EMAIL)],
        variables={
            "percent": content_pb2.ContentValue(text="15"),
            "valid_until": content_pb2.ContentValue(date=date_pb2.Date(year=2030, month=1, day=31)),
        },
        **_class(),
    )
    taken = (await cast.messages.SendNotification(request)).notification
    return await cast.messages.GetNotification(
        notification_pb2.GetNotificationRequest(notification_id=taken.notification_id)
    )


async def _consent(cast: Cast, who: str) -> int:
    """Return what the ledger knows of mails."""
    states = (await cast.shop.GetConsentState(consent_pb2.GetConsentStateRequest(profile_id=who))).states
    return next((each.status for each in states if each.purpose_id == EMAIL), 0)


def _files(cast: Cast) -> list[Path]:
    return list(cast.environment.mails.glob("ntf_*.eml"))


def _mail(cast: Cast, record: notification_pb2.NotificationRecord) -> Message:
    found = list(cast.environment.mails.glob(f"{record.notification.notification_id}.*.eml"))
    return message_from_bytes(found[0].read_bytes())


def _call(cast: Cast, method: str, path: str) -> int:
    """Call the site that the links lead to, as a proxy before it would; return the status."""
    connection = HTTPConnection(HOST, cast.environment.remembered_ports()["notification http"], timeout=10)
    try:
        connection.request(method, path, b"List-Unsubscribe=One-Click" if method == "POST" else None)
        return connection.getresponse().status
    finally:
        connection.close()


def _conditions(terms: trigger_pb2.TriggerTerms) -> str:
    return ", ".join(each.value or each.field.removesuffix("_event_id") for each in terms.conditions)


def _class() -> dict[str, Any]:
    return {"class": _MARKETING}
