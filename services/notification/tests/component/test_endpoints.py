"""Webhooks and web push through the whole service, to a peer over real TLS that verifies and decrypts for itself."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import http_ece
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from notification_desk import Desk, message, request_id, terms
from notification_https import OK
from notification_installation import NotificationInstallation
from notification_receiver import accepts
from rapport.notification.v1 import events_pb2, feedback_pb2, template_pb2
from rapport_notification.adapters.endpoints import PAUSE_AFTER
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually
from standardwebhooks import Webhook

HOOKS, PUSH = "hooks.brand.example", "push.brand.example"


def answer(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode()


async def written(desk: Desk, template_id: str, channel: Any) -> dict[str, Any]:
    """Have a template in force for a channel; return what a message says to use it."""
    made: template_pb2.TemplateTerms = terms()
    del made.channels[:]
    made.channels.append(channel)
    made.texts["en"].mjml = ""
    await desk.template(template_id, made)
    return {"template_id": template_id}


async def listener(desk: Desk, who: str, url: str) -> feedback_pb2.Endpoint:
    endpoint = feedback_pb2.WebhookEndpoint(url=url)
    return await desk.feedback.RegisterEndpoint(
        feedback_pb2.RegisterEndpointRequest(request_id=request_id(), profile_id=who, webhook=endpoint)
    )


async def listed(desk: Desk, who: str) -> list[feedback_pb2.Endpoint]:
    return list((await desk.feedback.ListEndpoints(feedback_pb2.ListEndpointsRequest(profile_id=who))).endpoints)


async def test_a_webhook_is_signed_twice_and_a_repeat_has_the_same_id(
    installation: NotificationInstallation, desk: Desk
) -> None:
    who, path = installation.person(), f"/{request_id()}"
    hook = await written(desk, "hook", events_pb2.CHANNEL_WEBHOOK)
    made = await listener(desk, who, installation.url(HOOKS, path))
    installation.peer.answers[path] = answer("503 Not now")
    sent = await desk.send(message(who, **hook))
    await eventually(lambda: bool(installation.peer.to(path)), timeout_s=20)
    installation.peer.answers[path] = OK
    await desk.becomes(sent, "SENT")
    calls = installation.peer.to(path)
    assert len(calls) == 2
    for headers, body in calls:
        assert accepts(made.signing_secret, headers, body, int(time.time())) == {"v1", "v1a"}
        assert accepts(made.signing_secret, headers, body + b" ", int(time.time())) == set()
        assert accepts(made.signing_secret, headers, body, int(time.time()) + 400) == set()
        said = Webhook(made.signing_secret.split()[0]).verify(body, headers)
        assert (said["data"]["notification_id"], said["data"]["subject"]) == (sent, "News: The lamp")
    assert len({each.headers["webhook-id"] for each in calls}) == 1


async def test_an_endpoint_that_never_answers_well_is_left_alone_and_stops_no_other(
    installation: NotificationInstallation, desk: Desk
) -> None:
    hook = await written(desk, "hook", events_pb2.CHANNEL_WEBHOOK)
    broken, well = installation.person(), installation.person()
    path, good = f"/{request_id()}", f"/{request_id()}"
    installation.peer.answers[path] = answer("429 Later\r\nretry-after: 3600")
    await listener(desk, broken, installation.url(HOOKS, path))
    await listener(desk, well, installation.url(HOOKS, good))
    await asyncio.gather(*(desk.send(message(broken, **hook)) for _ in range(PAUSE_AFTER)))

    async def paused() -> bool:
        return [each.paused for each in await listed(desk, broken)] == [True]

    await eventually(paused, timeout_s=30)
    await desk.becomes(await desk.send(message(well, **hook)), "SENT")
    dropped = await desk.becomes(await desk.send(message(broken, **hook)), "DROPPED")
    assert dropped.drop_reason == events_pb2.DROP_REASON_UNREACHABLE
    assert len(installation.peer.to(path)) == PAUSE_AFTER
    assert [each.paused for each in await listed(desk, well)] == [False]


async def test_a_caller_cannot_be_led_inside_nor_elsewhere_and_what_is_gone_is_forgotten(
    installation: NotificationInstallation, desk: Desk
) -> None:
    hook = await written(desk, "hook", events_pb2.CHANNEL_WEBHOOK)
    who, path, elsewhere = installation.person(), f"/{request_id()}", f"/{request_id()}"
    port = installation.peer.port
    for url in (
        f"https://127.0.0.1:{port}/",
        f"https://localhost:{port}/",
        f"https://{HOOKS}:{port + 1}/",
        f"https://{HOOKS}:{port}@elsewhere.example/",
        "https://2130706433/",
    ):
        with refused("ENDPOINT_INVALID", "listener"):
            await listener(desk, who, url)
    installation.peer.answers[path] = answer(f"302 Found\r\nlocation: {installation.url(HOOKS, elsewhere)}")
    await listener(desk, who, installation.url(HOOKS, path))
    waiting = await desk.send(message(who, **hook))
    await eventually(lambda: len(installation.peer.to(path)) >= 1, timeout_s=20)
    installation.peer.answers[path] = answer("410 Gone")
    await desk.becomes(waiting, "FAILED", timeout_s=40)
    assert installation.peer.to(elsewhere) == []
    assert await listed(desk, who) == []


async def test_a_browser_decrypts_what_it_is_sent_and_the_service_between_knows_who_sends(
    installation: NotificationInstallation, desk: Desk
) -> None:
    push = await written(desk, "push", events_pb2.CHANNEL_WEB_PUSH)
    who, path = installation.person(), f"/{request_id()}"
    browser, secret = ec.generate_private_key(ec.SECP256R1()), bytes(range(16))
    subscription = feedback_pb2.PushSubscription(
        endpoint=installation.url(PUSH, path),
        p256dh=browser.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        auth=secret,
    )
    await desk.feedback.RegisterEndpoint(
        feedback_pb2.RegisterEndpointRequest(request_id=request_id(), profile_id=who, push=subscription)
    )
    sent = await desk.send(message(who, **push))
    await desk.becomes(sent, "SENT")
    ((headers, body),) = installation.peer.to(path)
    plain = http_ece.decrypt(body, private_key=browser, auth_secret=secret)
    assert json.loads(plain) == {"id": sent, "title": "News: The lamp", "body": "Hello : The lamp"}
    assert (headers["content-encoding"], headers["ttl"], headers["urgency"]) == ("aes128gcm", "86400", "normal")
    token, public = headers["authorization"].removeprefix("vapid t=").split(",k=")
    point = base64.urlsafe_b64decode(public.strip() + "=" * (-len(public.strip()) % 4))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    origin = installation.url(PUSH, "")
    claims = jwt.decode(token, key, algorithms=["ES256"], audience=origin)
    assert claims["sub"] == "mailto:help@brand.example"
    assert claims["exp"] - time.time() <= 86_400

    installation.peer.answers[path] = answer("410 Gone")
    await desk.becomes(await desk.send(message(who, **push)), "FAILED")
    assert await listed(desk, who) == []


async def test_where_somebody_listens_is_kept_without_its_address_and_an_inner_one_is_refused(
    installation: NotificationInstallation, desk: Desk
) -> None:
    who = installation.person()

    def registration(url: str) -> feedback_pb2.RegisterEndpointRequest:
        return feedback_pb2.RegisterEndpointRequest(
            request_id=request_id(), profile_id=who, webhook=feedback_pb2.WebhookEndpoint(url=url)
        )

    with refused("ENDPOINT_INVALID", "listener"):
        await desk.feedback.RegisterEndpoint(registration("https://127.0.0.1/hook"))
    made = await desk.feedback.RegisterEndpoint(registration("https://hooks.customer.example/very-secret-path"))
    assert made.host == "hooks.customer.example"
    assert [each[:6] for each in made.signing_secret.split()] == ["whsec_", "whpk_" + made.signing_secret.split()[1][5]]
    listed = await desk.feedback.ListEndpoints(feedback_pb2.ListEndpointsRequest(profile_id=who))
    assert [(each.endpoint_id, each.signing_secret) for each in listed.endpoints] == [(made.endpoint_id, "")]
    gone = feedback_pb2.RemoveEndpointRequest(request_id=request_id(), endpoint_id=made.endpoint_id)
    await desk.feedback.RemoveEndpoint(gone)
    with refused("ENDPOINT_NOT_FOUND"):
        await desk.feedback.RemoveEndpoint(
            feedback_pb2.RemoveEndpointRequest(request_id=request_id(), endpoint_id=made.endpoint_id)
        )
