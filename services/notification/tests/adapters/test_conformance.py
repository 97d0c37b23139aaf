"""Our own adapter under the kit, and adapters that are wrong in known ways, which the kit must find out."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from notification_https import NAME, Contexts
from rapport_chassis.outbound import Endpoint
from rapport_chassis.webhooks import WebhookKey
from rapport_notification.conformance.faults import Send, certify, in_turn
from rapport_notification.conformance.http_sink import UNTELLABLE, HttpFault, HttpSink
from rapport_notification.conformance.kills import kill_again_and_again
from rapport_notification.conformance.smtp_sink import Fault, SmtpSink
from rapport_notification.sending.fields import Address, Token
from rapport_notification.sending.http import Poster
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.sms import SmsMessage
from rapport_notification.sending.sms_http import SmsHttpProvider, SmsHttpSettings
from rapport_notification.sending.smtp import Envelope, SmtpPool, SmtpSettings
from rapport_notification.sending.web_push import Subscription, WebPush
from rapport_notification.sending.webhook import call
from rapport_testing.prove import Scale

ENVELOPE = Envelope(Address("b@brand.example"), Address("a@example.org"))


def pool_to(sink: SmtpSink) -> SmtpPool:
    host, port = sink.address
    # One message a connection: a transaction that broke on one that was kept would be begun again, on the next fault.
    return SmtpPool(SmtpSettings(host, port, tls="never", connections=1, messages=1, timeout_s=0.5))


def mail(message_id: str) -> bytes:
    return f"Message-ID: <{message_id}>\r\n\r\nhello\r\n".encode()


async def test_our_adapter_for_mail_servers_is_certified() -> None:
    async with SmtpSink(in_turn(Fault)) as sink:
        pool = pool_to(sink)
        findings = await certify(sink, lambda message_id, may: pool.send(ENVELOPE, mail(message_id), may))
        await pool.close()
        assert findings == []
        assert sink.taken.tried >= len(Fault)


def lies(said: Callable[[Outcome], Outcome], asks: bool = True):
    async def run(sink: SmtpSink) -> set[str]:
        pool = pool_to(sink)

        async def send(message_id: str, may: Callable[[], bool]) -> Outcome:
            return said(await pool.send(ENVELOPE, mail(message_id), may if asks else lambda: True))

        findings = await certify(sink, send)
        await pool.close()
        return {each.what for each in findings}

    return run


@pytest.mark.parametrize(
    ("adapter", "found"),
    [
        (lies(lambda outcome: Outcome(Handed.SENT)), "it says sent of what did not arrive"),
        (lies(lambda outcome: Outcome(Handed.DEFERRED)), "it says not sent of what arrived"),
        (lies(lambda outcome: Outcome(Handed.UNKNOWN)), "it could have told, and did not"),
        (lies(lambda outcome: outcome, asks=False), "it did not ask before it sent"),
    ],
    ids=["optimist", "pessimist", "agnostic", "deaf"],
)
async def test_an_adapter_that_is_wrong_is_found_out(adapter, found: str) -> None:
    async with SmtpSink(in_turn(Fault)) as sink:
        assert found in await adapter(sink)


@pytest.mark.parametrize("askable", [True, False], ids=["a peer that can be asked", "a blind peer"])
async def test_no_kill_loses_a_message_or_sends_it_twice(
    askable: bool, tmp_path: Path, scale: Scale, prove, progress
) -> None:
    messages, kills = scale.pick(small=(300, 3), full=(20_000, 100))
    bar = progress(kills, "kills")
    toll = await kill_again_and_again(
        tmp_path / "journal",
        messages=messages,
        connections=8,
        kills=kills,
        askable=askable,
        draw=random.Random(5),
        progress=bar.advance,
    )
    assert (toll.lost, toll.twice, toll.open) == (0, 0, 0)
    assert toll.kills >= kills - 1
    assert toll.ambiguous <= (0 if askable else toll.kills * 8)
    name = "askable" if askable else "blind"
    prove(
        "notification", **{f"kills_{name}": toll.kills, f"ambiguous_{name}": toll.ambiguous, f"sent_{name}": messages}
    )


def webhook_to(poster: Poster, endpoint: Endpoint) -> Send:
    keys = [WebhookKey(secret=bytes(32)), WebhookKey(key=Ed25519PrivateKey.generate())]
    return lambda message_id, may: call(poster, endpoint, Token(message_id), 1_793_000_000, b"{}", keys, may)


def push_to(poster: Poster, endpoint: Endpoint) -> Send:
    browser = generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    push = WebPush(poster, generate_private_key(SECP256R1()), "mailto:help@brand.example")
    said = Subscription(endpoint, browser, bytes(16))
    return lambda message_id, may: push.send(
        said, b"{}", now=1_793_000_000, ttl_s=60, urgency="normal", topic=message_id, may_send=may
    )


def texts_to(poster: Poster, endpoint: Endpoint) -> Send:
    provider = SmsHttpProvider(SmsHttpSettings(endpoint, "token"), poster)
    return lambda message_id, may: provider.send(SmsMessage("+4915112345678", "Brand", "hello", message_id), may)


@pytest.mark.parametrize(
    ("adapter", "header"), [(webhook_to, "webhook-id"), (push_to, "topic"), (texts_to, "idempotency-key")]
)
async def test_our_adapters_over_https_are_certified(
    adapter: Callable[[Poster, Endpoint], Send], header: str, contexts: Contexts
) -> None:
    async with HttpSink(contexts[0], header, in_turn(HttpFault)) as sink:
        poster = Poster(timeout_s=0.5, context=contexts[1], inner={f"{NAME}:{sink.port}": "127.0.0.1"})
        send = adapter(poster, poster.endpoint(f"https://{NAME}:{sink.port}/"))
        findings = await certify(sink, send, faults=HttpFault, untellable=UNTELLABLE, id_form="ntf_{}")
        await poster.close()
    assert findings == []
    assert sink.taken.tried >= len(HttpFault)
