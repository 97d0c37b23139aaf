"""The scenes about what is written to customers: an offer becomes a mail, enough is enough, one click ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from email import message_from_bytes
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from google.type import date_pb2
from rapport.churn.v1 import churn_pb2
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

from rapport_local.demo.report import Report
from rapport_local.demo.scenes import EMAIL, NORTH
from rapport_local.demo.shop import EDITOR, Cast, request_id, until
from rapport_local.demo.trees import short
from rapport_local.environment import HOST

ALWAYS_OPEN: Final = Path(__file__).with_name("always_open.json")
"""Quiet hours of the story: none."""

_OFFER: Final = "retention_offer"
_ASKED_ABOUT: Final = 12
_SENT_S: Final = 90.0
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


async def offers(report: Report, cast: Cast) -> None:
    """Who was made an offer gets it as a mail, once; who is held out hears nothing; one click ends it."""
    made = await _made(cast)
    treated = {who for who, offer in made.items() if offer.treatment == pricing_events_pb2.TREATMENT_TREATED}
    sent = await until(lambda: _sent(cast, treated), lambda found: len(found) == len(treated), within_s=_SENT_S)
    mails = {each: _mail(cast, record) for each, record in sent.items()}
    who, record = next(iter(sent.items()))
    mail, why = (
        mails[who],
        await cast.messages.ExplainNotification(
            notification_pb2.ExplainNotificationRequest(notification_id=record.notification.notification_id)
        ),
    )
    receipt = why.receipts[-1]
    report.say(f"Each mail is a file in {cast.environment.mails.name}/ of the environment. One of {len(mails)}:")
    report.rows(
        [
            ("Subject", mail["Subject"]),
            ("List-Unsubscribe-Post", mail["List-Unsubscribe-Post"]),
            ("allowed by", f"{EMAIL}, ledger position {receipt.permission.position.position}"),
            ("template", receipt.template),
            ("led to by", short(record.notification.decision_ids[0])),
        ]
    )
    report.expect(len(mails) == len(treated) > 0, "every customer with an offer got one mail")
    untold = [each for each in made if each not in treated]
    report.expect(not await _sent(cast, set(untold)), "those held out by chance hear nothing")
    report.expect(why.intact, "asked why, the decision is shown as it was sealed: consent, caps, provider")
    await _enough(report, cast, who)
    await _one_click(report, cast, who, mail)


async def _enough(report: Report, cast: Cast, who: str) -> None:
    record = await until(
        lambda: _state(cast, who, "again"), lambda found: found.state == notification_pb2.NOTIFICATION_STATE_HELD
    )
    reason = events_pb2.HoldReason.Name(record.hold_reason).removeprefix("HOLD_REASON_")
    report.rows([("a second one today", "waits", reason.replace("_", " ").lower())])
    report.expect(
        record.hold_reason == events_pb2.HOLD_REASON_FREQUENCY_CAP, "enough is enough: it waits, and says why"
    )


async def _one_click(report: Report, cast: Cast, who: str, mail: Message) -> None:
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
    record = await until(
        lambda: _state(cast, who, "never"), lambda found: found.state == notification_pb2.NOTIFICATION_STATE_DROPPED
    )
    report.expect(
        record.drop_reason == events_pb2.DROP_REASON_NOT_PERMITTED, "the next message is refused: not permitted"
    )


async def _made(cast: Cast) -> Mapping[str, pricing_events_pb2.Offer]:
    """Return the offers that risks have led to."""
    ranked = await cast.churn.RankProfiles(
        churn_pb2.RankProfilesRequest(page_size=_ASKED_ABOUT, at_risk_only=True, order=churn_pb2.RANK_ORDER_CHURN)
    )
    found = {}
    for each in ranked.profiles:
        listed = await cast.prices.ListOffers(
            pricing_pb2.ListOffersRequest(profile_id=each.profile_id, include_all=True)
        )
        if listed.offers and listed.offers[0].offer.state == pricing_events_pb2.OFFER_STATE_OPEN:
            found[each.profile_id] = listed.offers[0].offer
    return found


async def _sent(cast: Cast, people: set[str]) -> dict[str, notification_pb2.NotificationRecord]:
    """Return the message that each of these people got."""
    found = {}
    for who in sorted(people):
        request = notification_pb2.ListNotificationsRequest(
            recipient_id=who, state=notification_pb2.NOTIFICATION_STATE_SENT
        )
        listed = (await cast.messages.ListNotifications(request)).notifications
        if len(listed) == 1:
            found[who] = listed[0]
    return found


async def _state(cast: Cast, who: str, about: str) -> notification_pb2.NotificationRecord:
    """Return a message about something, taken on when it is first asked for."""
    request = notification_pb2.SendNotificationRequest(
        request_id=request_id(),
        recipient_id=who,
        template_id=_OFFER,
        brand_id=NORTH,
        category="offers",
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
