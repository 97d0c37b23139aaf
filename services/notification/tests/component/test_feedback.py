"""What comes back: one click reaches the ledger once, bounces give addresses up, and people are told from scanners."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from quopri import decodestring
from typing import Any

import httpcore
import psycopg
import pytest
from notification_desk import Desk, advertising, daylight, message, request_id, terms
from notification_installation import MARKETING, PROVIDER_SECRET, STREAM, TRACKING, NotificationInstallation
from rapport.notification.v1 import events_pb2, feedback_pb2, template_pb2
from rapport_chassis.times import stamp
from rapport_notification.adapters.keys import load_keys
from rapport_notification.sending.return_path import ReturnPaths
from rapport_testing.refusals import refused
from rapport_testing.waiting import becomes_true, eventually

ONE_CLICK = b"List-Unsubscribe=One-Click"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Site:
    """What a browser or a mail program calls."""

    origin: str

    async def call(self, method: str, path: str, content: bytes = b"", **headers: str) -> Answer:
        given = {"user-agent": BROWSER, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with httpcore.AsyncConnectionPool() as pool:
            found = await pool.request(method, self.origin + path, headers=list(given.items()), content=content)
        said = {name.decode().lower(): value.decode() for name, value in found.headers}
        return Answer(found.status, found.content.decode("utf-8", "replace"), said)


@pytest.fixture
def site(installation: NotificationInstallation) -> Site:
    return Site(installation.site())


async def advertised(
    desk: Desk, installation: NotificationInstallation, *purposes: str, template_id: str = "news"
) -> tuple[str, str, bytes]:
    """Return somebody, the advertising they got, and the mail it was."""
    who = installation.person(MARKETING, *purposes)
    await desk.lives(who, daylight())
    sent = await desk.send(advertising(who, template_id=template_id, at_least=installation.token))
    await desk.becomes(sent, "SENT")
    (mail,) = installation.mails(who)
    return who, sent, mail


def header(mail: bytes, name: bytes) -> str:
    found = re.search(rb"(?im)^" + name + rb":[ ]*(.*?)\r\n(?![ \t])", mail, re.DOTALL)
    assert found is not None
    return found[1].decode()


def unsubscribe_path(mail: bytes) -> str:
    return header(mail, b"List-Unsubscribe").strip("<>").removeprefix("https://mail.brand.example")


async def one_told(installation: NotificationInstallation, event: type[Any], notification_id: str) -> Any:
    """Wait until an event about a message is told, and return it; of a kind that is told once."""
    found, read = [], 0
    async with installation.broker().api() as api:

        async def there() -> bool:
            nonlocal read
            last = (await api.stream_info(STREAM))["state"]["last_seq"]
            for sequence in range(read + 1, last + 1):
                stored = await api.get(STREAM, sequence)
                if stored is not None and stored.headers["ce-dataschema"] == f"proto:{event.DESCRIPTOR.full_name}":
                    told = event.FromString(stored.data)
                    about = told.notification if "notification" in event.DESCRIPTOR.fields_by_name else told
                    found.extend([told] if about.notification_id == notification_id else [])
            read = last
            return bool(found)

        await eventually(there, timeout_s=30, interval_s=0.1)
    (only,) = found
    return only


async def test_one_click_reaches_the_ledger_once_and_the_next_message_is_refused(
    installation: NotificationInstallation, desk: Desk, site: Site
) -> None:
    who, sent, mail = await advertised(desk, installation)
    assert header(mail, b"List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    path = unsubscribe_path(mail)
    looked = await site.call("GET", path, accept_language="de-AT,de;q=0.9")
    assert (looked.status, 'lang="de"' in looked.text) == (200, True)
    assert not [each for each in installation.ledger.written.values() if each.profile_id == who]

    before = datetime.now(UTC)
    for _ in range(3):
        assert (await site.call("POST", path, ONE_CLICK)).status == 200
    refused_now = await desk.send(advertising(who))

    def recorded() -> bool:
        return any(each.profile_id == who for each in installation.ledger.written.values())

    await eventually(recorded, timeout_s=20)
    (write,) = [each for each in installation.ledger.written.values() if each.profile_id == who]
    assert list(write.purpose_ids) == [MARKETING]
    dropped = await desk.becomes(refused_now, "DROPPED")
    assert dropped.drop_reason == events_pb2.DROP_REASON_NOT_PERMITTED
    assert len(installation.mails(who)) == 1
    event = await one_told(installation, events_pb2.ContactUnsubscribed, sent)
    assert event.method == events_pb2.UNSUBSCRIBE_METHOD_ONE_CLICK
    assert event.occurred_at.ToDatetime(UTC) >= before

    assert (await site.call("POST", path[:-4] + "AAAA")).status == 404


@pytest.mark.parametrize("point", ["notification.unsubscribe.written", "notification.unsubscribe.told"])
async def test_an_unsubscribe_outlives_a_kill_and_is_in_the_ledger_once(
    installation: NotificationInstallation, desk: Desk, site: Site, point: str
) -> None:
    site_of_victim = installation.folder / f"{point}.http"
    victim = installation.process("victim", http__address_file=str(site_of_victim))
    victim.arm(f"{point}=kill")
    people: list[tuple[str, str]] = []
    try:
        victim.start()
        address = await asyncio.to_thread(_text_of, site_of_victim)
        # The other process may be the one that tells the ledger: then it is tried again.
        while victim.is_running and len(people) < 10:
            who, sent, mail = await advertised(desk, installation)
            people.append((who, sent))
            with contextlib.suppress(httpcore.ProtocolError, httpcore.NetworkError):
                await Site(f"http://{address}").call("POST", unsubscribe_path(mail), ONE_CLICK)
            # Whoever clicked and got no answer clicks again.
            await site.call("POST", unsubscribe_path(mail), ONE_CLICK)
            await eventually(partial(_is_recorded, installation, who), timeout_s=40, interval_s=0.1)
        assert not victim.is_running
    finally:
        victim.kill()
    for who, sent in people:
        assert len([each for each in installation.ledger.written.values() if each.profile_id == who]) == 1
        await one_told(installation, events_pb2.ContactUnsubscribed, sent)


def _text_of(path: Path) -> str:
    assert becomes_true(path.exists, 20)
    return path.read_text(encoding="ascii")


def _is_recorded(installation: NotificationInstallation, who: str) -> bool:
    with psycopg.connect(installation.database_settings().dsn.get_secret_value()) as connection:
        query = "SELECT state FROM unsubscribes WHERE profile_id = %s"
        return connection.execute(query, (who,)).fetchall() == [("recorded",)]


def bounce(return_path: str, status: str) -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example\r\nTo: <{return_path}>\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="x"\r\n\r\n--x\r\n'
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; somebody@x.example\r\nAction: failed\r\nStatus: {status}\r\n\r\n--x--\r\n"
    ).encode()


async def test_a_hard_bounce_that_quotes_nothing_is_attributed_and_gives_the_address_up(
    installation: NotificationInstallation, desk: Desk
) -> None:
    who = installation.person()
    sent = await desk.send(message(who))
    await desk.becomes(sent, "SENT")
    keys = load_keys(installation.folder / "own", "return_paths")
    path = ReturnPaths(keys, "bounces.brand.example").address(sent, 1).value
    request = feedback_pb2.ReportFeedbackRequest(request_id=request_id(), mail=bounce(path, "5.1.1"))
    result = await desk.feedback.ReportFeedback(request)
    assert (result.notification_id, result.attempt, result.suppressed) == (sent, 1, True)
    again = feedback_pb2.ReportFeedbackRequest(request_id=request_id(), mail=bounce(path, "5.1.1"))
    assert (await desk.feedback.ReportFeedback(again)).repeated_before
    failed = await one_told(installation, events_pb2.NotificationFailed, sent)
    assert (failed.failure, failed.status_code) == (events_pb2.FAILURE_KIND_HARD_BOUNCE, "5.1.1")

    address: dict[str, Any] = {"channel": events_pb2.CHANNEL_EMAIL, "address": installation.book.emails[who]}
    known = await desk.feedback.GetSuppression(feedback_pb2.GetSuppressionRequest(**address))
    assert known.reason == feedback_pb2.FEEDBACK_KIND_HARD
    dropped = await desk.becomes(await desk.send(message(who)), "DROPPED")
    assert dropped.drop_reason == events_pb2.DROP_REASON_SUPPRESSED

    lifted = feedback_pb2.LiftSuppressionRequest(request_id=request_id(), reason="mended", **address)
    assert (await desk.feedback.LiftSuppression(lifted)).reason == feedback_pb2.FEEDBACK_KIND_UNSPECIFIED
    await desk.becomes(await desk.send(message(who)), "SENT")


async def test_a_complaint_is_as_good_as_unsubscribing_and_is_not_lifted(
    installation: NotificationInstallation, desk: Desk
) -> None:
    who, sent, _ = await advertised(desk, installation)
    report = feedback_pb2.ProviderReport(
        notification_id=sent, kind=feedback_pb2.FEEDBACK_KIND_COMPLAINT, occurred_at=stamp(datetime.now(UTC))
    )
    result = await desk.feedback.ReportFeedback(
        feedback_pb2.ReportFeedbackRequest(request_id=request_id(), report=report)
    )
    assert result.suppressed

    def recorded() -> bool:
        return any(each.profile_id == who for each in installation.ledger.written.values())

    await eventually(recorded, timeout_s=20)
    with refused("SUPPRESSION_STANDS"):
        await desk.feedback.LiftSuppression(
            feedback_pb2.LiftSuppressionRequest(
                request_id=request_id(),
                channel=events_pb2.CHANNEL_EMAIL,
                address=installation.book.emails[who],
                reason="please",
            )
        )
    engaged = await one_told(installation, events_pb2.NotificationEngaged, sent)
    assert engaged.engagement == events_pb2.ENGAGEMENT_COMPLAINED


async def test_a_link_is_followed_and_told_only_where_tracking_is_allowed_and_a_scanner_is_called_one(
    installation: NotificationInstallation, desk: Desk, site: Site
) -> None:
    await desk.template("linked", _linked())
    _, _, plain = await advertised(desk, installation, template_id="linked")
    assert b"/c/" not in decodestring(plain)
    _, sent, mail = await advertised(desk, installation, TRACKING, template_id="linked")
    (token,) = set(re.findall(rb"https://mail\.brand\.example(/c/[A-Za-z0-9_-]+)", decodestring(mail)))
    followed = await site.call("GET", token.decode(), user_agent="Barracuda Sentinel")
    assert (followed.status, followed.headers["location"]) == (302, "https://shop.brand.example/lamps")
    assert (await site.call("GET", token.decode()[:-2] + "AA")).status == 404
    event = await one_told(installation, events_pb2.NotificationEngaged, sent)
    assert (event.by, event.engagement) == (events_pb2.ENGAGED_BY_SCANNER, events_pb2.ENGAGEMENT_CLICKED)
    assert event.notification.decision_id


async def test_a_provider_hands_in_a_bounce_over_a_call_that_must_be_signed(
    installation: NotificationInstallation, desk: Desk, site: Site
) -> None:
    who = installation.person()
    sent = await desk.send(message(who))
    await desk.becomes(sent, "SENT")
    keys = load_keys(installation.folder / "own", "return_paths")
    body = bounce(ReturnPaths(keys, "bounces.brand.example").address(sent, 1).value, "5.1.1")
    asked = feedback_pb2.GetSuppressionRequest(channel=events_pb2.CHANNEL_EMAIL, address=installation.book.emails[who])
    for faulty in (
        {},
        seals(body, "whsec_" + base64.b64encode(bytes(32)).decode()),
        seals(body, PROVIDER_SECRET, at=int(time.time()) - 400),
        seals(body + b" ", PROVIDER_SECRET),
    ):
        answer = await site.call("POST", "/feedback/mails", body, **faulty)
        assert (answer.status, json.loads(answer.text)["reason"]) == (401, "CALL_NOT_SIGNED")
    assert (await desk.feedback.GetSuppression(asked)).reason == feedback_pb2.FEEDBACK_KIND_UNSPECIFIED
    for _ in range(2):
        assert (await site.call("POST", "/feedback/mails", body, **seals(body, PROVIDER_SECRET))).status == 200
    assert (await desk.feedback.GetSuppression(asked)).reason == feedback_pb2.FEEDBACK_KIND_HARD
    failed = await one_told(installation, events_pb2.NotificationFailed, sent)
    assert failed.failure == events_pb2.FAILURE_KIND_HARD_BOUNCE


def seals(body: bytes, secret: str, at: int | None = None) -> dict[str, str]:
    """Headers of a signed call."""
    stamped = str(int(time.time()) if at is None else at)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    seal = base64.b64encode(hmac.digest(key, f"msg_00000001.{stamped}.".encode() + body, sha256)).decode()
    return {"webhook_id": "msg_00000001", "webhook_timestamp": stamped, "webhook_signature": f"v1,{seal}"}


def _linked() -> template_pb2.TemplateTerms:
    made = terms()
    link = '<mj-button href="https://shop.brand.example/lamps">Show it</mj-button></mj-column>'
    made.texts["en"].mjml = made.texts["en"].mjml.replace("</mj-column>", link)
    return made
