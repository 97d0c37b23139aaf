"""Texts that people send: STOP is obeyed at once, START takes back no more than that, and each is answered once."""

from __future__ import annotations

import base64
import hmac
import json
import time
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpcore
import pytest
from notification_desk import Desk, message, request_id, terms
from notification_installation import PROVIDER_SECRET, NotificationInstallation
from rapport.notification.v1 import events_pb2, feedback_pb2, preference_pb2
from rapport_chassis.times import stamp
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

NONE = feedback_pb2.FEEDBACK_KIND_UNSPECIFIED


@pytest.fixture
def number() -> str:
    return f"+4915{uuid4().int % 10**9:09d}"


@pytest.fixture
async def who(installation: NotificationInstallation, desk: Desk, number: str) -> str:
    """Somebody who gets texts."""
    person = installation.person()
    installation.book.phones[person] = number
    made = terms()
    made.channels[:] = [events_pb2.CHANNEL_SMS]
    made.texts["en"].mjml = ""
    await desk.template("text", made)
    return person


def text(person: str, **fields: Any) -> Any:
    return message(person, template_id="text", **fields)


async def says(desk: Desk, number: str, said: str) -> int:
    request = feedback_pb2.ReceiveTextRequest(
        request_id=request_id(), from_number=number, text=said, received_at=stamp(datetime.now(UTC))
    )
    return (await desk.feedback.ReceiveText(request)).meaning


async def suppressed(desk: Desk, number: str) -> int:
    asked = feedback_pb2.GetSuppressionRequest(channel=events_pb2.CHANNEL_SMS, address=number)
    return (await desk.feedback.GetSuppression(asked)).reason


def texts_to(installation: NotificationInstallation, number: str) -> list[str]:
    """What a phone got."""
    return [each.said["text"] for each in installation.peer.to("/messages") if each.said["to"] == number]


async def call(installation: NotificationInstallation, call_id: str, body: bytes) -> tuple[int, Any]:
    """Call as a provider does, signed."""
    at = str(int(time.time()))
    secret = base64.b64decode(PROVIDER_SECRET.removeprefix("whsec_"))
    seal = base64.b64encode(hmac.digest(secret, f"{call_id}.{at}.".encode() + body, sha256)).decode()
    headers = [("webhook-id", call_id), ("webhook-timestamp", at), ("webhook-signature", f"v1,{seal}")]
    async with httpcore.AsyncConnectionPool() as pool:
        url = installation.site() + "/feedback/texts"
        found = await pool.request("POST", url, headers=headers, content=body)
    return found.status, json.loads(found.content)


async def test_stop_is_obeyed_and_answered_once_and_start_takes_back_no_more_than_it_refused(
    installation: NotificationInstallation, desk: Desk, who: str, number: str
) -> None:
    await desk.becomes(await desk.send(text(who)), "SENT")
    own = preference_pb2.Preference(category="offers", channel=events_pb2.CHANNEL_SMS, wanted=False)
    await desk.preferences.SetPreferences(
        preference_pb2.SetPreferencesRequest(request_id=request_id(), profile_id=who, preferences=[own])
    )
    body = json.dumps({"fromNumber": number, "text": "Stopp!", "receivedAt": "2026-11-22T10:00:00Z"}).encode()
    call_id = f"msg_{uuid4().hex}"
    assert await call(installation, call_id, body) == (200, {"meaning": "stop"})
    assert await call(installation, call_id, body) == (200, {"meaning": ""})
    assert await suppressed(desk, number) == feedback_pb2.FEEDBACK_KIND_COMPLAINT
    dropped = await desk.becomes(await desk.send(text(who)), "DROPPED")
    assert dropped.drop_reason == events_pb2.DROP_REASON_PREFERENCE
    await eventually(lambda: len(texts_to(installation, number)) == 2, timeout_s=20)
    assert texts_to(installation, number)[1] == (
        "Brand: Sie erhalten keine SMS mehr von uns. START nimmt das zurück. Hilfe: brand.example/help"
    )

    assert await says(desk, number, "start") == feedback_pb2.TEXT_MEANING_START
    assert await suppressed(desk, number) == NONE
    asked = preference_pb2.GetPreferencesRequest(profile_id=who)
    left = (await desk.preferences.GetPreferences(asked)).preferences
    assert [(each.category, each.wanted) for each in left] == [("offers", False)]
    await desk.becomes(await desk.send(text(who)), "SENT")
    assert await says(desk, number, "HELP") == feedback_pb2.TEXT_MEANING_HELP
    await eventually(lambda: len(texts_to(installation, number)) == 5, timeout_s=20)
    assert "Advertising stays off" in "".join(texts_to(installation, number))
    assert "Help: brand.example/help. STOP ends this." in "".join(texts_to(installation, number))


async def test_start_does_not_bring_back_a_number_that_is_dead(
    installation: NotificationInstallation, desk: Desk, who: str, number: str
) -> None:
    sent = await desk.send(text(who))
    await desk.becomes(sent, "SENT")
    report = feedback_pb2.ProviderReport(
        notification_id=sent, kind=feedback_pb2.FEEDBACK_KIND_HARD, occurred_at=stamp(datetime.now(UTC))
    )
    await desk.feedback.ReportFeedback(feedback_pb2.ReportFeedbackRequest(request_id=request_id(), report=report))
    await says(desk, number, "please stop texting me")
    assert await suppressed(desk, number) == feedback_pb2.FEEDBACK_KIND_HARD
    await says(desk, number, "STOP")
    await says(desk, number, "START")
    assert await suppressed(desk, number) == feedback_pb2.FEEDBACK_KIND_HARD


async def test_a_text_that_may_be_a_refusal_halts_texts_until_somebody_has_looked(
    installation: NotificationInstallation, desk: Desk, who: str, number: str
) -> None:
    last = await desk.send(text(who))
    await desk.becomes(last, "SENT")

    async def review(said: str) -> feedback_pb2.TextReview:
        assert await says(desk, number, said) == feedback_pb2.TEXT_MEANING_REVIEW
        found = await desk.feedback.ListTextReviews(feedback_pb2.ListTextReviewsRequest(page_size=500))
        return next(each for each in found.reviews if each.text == said)

    async def decided(which: feedback_pb2.TextReview, verdict: feedback_pb2.TextVerdict.ValueType) -> None:
        await desk.feedback.DecideTextReview(
            feedback_pb2.DecideTextReviewRequest(
                request_id=request_id(), review_id=which.review_id, verdict=verdict, reason="looked"
            )
        )

    first, second = await review("stop, or rather wait"), await review(f"do not text me so late {number}")
    assert (first.profile_id, first.notification_id) == (who, last)
    dropped = await desk.becomes(await desk.send(text(who)), "DROPPED")
    assert dropped.drop_reason == events_pb2.DROP_REASON_SUPPRESSED
    await decided(first, feedback_pb2.TEXT_VERDICT_OTHER)
    assert await suppressed(desk, number) == feedback_pb2.FEEDBACK_KIND_SOFT  # there is one more to look at
    await decided(second, feedback_pb2.TEXT_VERDICT_OTHER)
    assert await suppressed(desk, number) == NONE
    await decided(await review(f"no more messages {number}"), feedback_pb2.TEXT_VERDICT_REFUSAL)
    assert await suppressed(desk, number) == feedback_pb2.FEEDBACK_KIND_COMPLAINT
    with refused("REVIEW_NOT_FOUND", "review_id"):
        await decided(second, feedback_pb2.TEXT_VERDICT_OTHER)


async def test_a_stop_reaches_the_ledger_though_identity_was_away_when_it_came(
    installation: NotificationInstallation, desk: Desk, who: str, number: str
) -> None:
    installation.book.away = True
    try:
        await says(desk, number, "STOP")
        assert await suppressed(desk, number) == feedback_pb2.FEEDBACK_KIND_COMPLAINT
    finally:
        installation.book.away = False
    await eventually(lambda: any(each.profile_id == who for each in installation.ledger.written.values()), timeout_s=40)
    (write,) = [each for each in installation.ledger.written.values() if each.profile_id == who]
    assert list(write.purpose_ids) == []
