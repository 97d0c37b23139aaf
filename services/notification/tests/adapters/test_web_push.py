"""Web push: the published example, what a browser decrypts, what a service verifies."""

import base64
import json
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rapport_chassis.outbound import Endpoint
from rapport_notification.sending.http import Poster
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.web_push import PLAIN_LIMIT, TOKEN_S, Subscription, WebPush, encrypted

SECRET = b"0123456789abcdef"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Service(Poster):
    """Keeps what is posted, and answers as told."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.posted: list = []
        self._outcomes = list(outcomes)

    async def post(self, endpoint, headers, body, may_send) -> Outcome:
        if not may_send():
            return Outcome(Handed.WITHDRAWN)
        self.posted.append((endpoint, headers, body))
        return self._outcomes.pop(0)


@pytest.fixture
def browser() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def subscription(browser) -> Subscription:
    point = browser.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return Subscription.parse("https://push.example.net/send/abc", b64(point), b64(SECRET))


def send(push: WebPush, subscription: Subscription, content: bytes = b"hello", **changes):
    values: dict[str, Any] = {
        "now": 1_793_000_000,
        "ttl_s": 60,
        "urgency": "normal",
        "topic": "t",
        "may_send": lambda: True,
    } | changes
    return push.send(subscription, content, **values)


def test_the_example_of_the_rfc_is_read_as_a_browser_reads_it() -> None:
    private = ec.derive_private_key(
        int.from_bytes(unb64("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big"), ec.SECP256R1()
    )
    body = unb64(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A"
        "_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    found = http_ece.decrypt(body, private_key=private, auth_secret=unb64("BTBZMqHH6r4Tts7J_aSIgg"))
    assert found == b"When I grow up, I want to be a watermelon"


def test_the_browser_reads_it_and_no_two_are_alike(browser, subscription) -> None:
    first, second = encrypted(subscription, b"hello"), encrypted(subscription, b"hello")
    assert first[:21] != second[:21]
    assert http_ece.decrypt(first, private_key=browser, auth_secret=SECRET) == b"hello"
    assert len(encrypted(subscription, b"x" * PLAIN_LIMIT)) == 4096


async def test_the_service_gets_a_token_for_itself_that_is_used_again_until_half_its_life(subscription) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    service = Service(*[Outcome(Handed.SENT, 201)] * 3)
    push = WebPush(service, key, "mailto:help@brand.example")
    now = 1_793_000_000
    for later in (0, TOKEN_S // 2 - 1, TOKEN_S // 2 + 1):
        assert (await send(push, subscription, now=now + later)).handed is Handed.SENT
    tokens = [headers["authorization"] for _, headers, _ in service.posted]
    assert tokens[0] == tokens[1] != tokens[2]
    token, public = tokens[0].removeprefix("vapid t=").split(",k=")
    signed, _, signature = token.rpartition(".")
    claims = json.loads(unb64(signed.split(".")[1]))
    assert (claims["aud"], claims["exp"]) == ("https://push.example.net", now + TOKEN_S)
    raw = unb64(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    verifier = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unb64(public))
    verifier.verify(der, signed.encode(), ec.ECDSA(SHA256()))
    assert service.posted[0][1]["ttl"] == "60"


@pytest.mark.parametrize(
    ("code", "handed"), [(410, Handed.REFUSED), (404, Handed.REFUSED), (413, Handed.REFUSED), (429, Handed.DEFERRED)]
)
async def test_a_subscription_that_is_gone_is_refused_and_a_busy_service_is_not(subscription, code, handed) -> None:
    push = WebPush(
        Service(Outcome(Handed.DEFERRED, code)), ec.generate_private_key(ec.SECP256R1()), "mailto:a@b.example"
    )
    assert (await send(push, subscription)).handed is handed


async def test_what_is_no_message_or_no_subscription_is_refused(subscription) -> None:
    push = WebPush(Service(), ec.generate_private_key(ec.SECP256R1()), "mailto:a@b.example")
    for changes in ({"content": b"x" * (PLAIN_LIMIT + 1)}, {"urgency": "now"}, {"topic": "a b"}, {"topic": "x" * 33}):
        with pytest.raises(ValueError, match="message"):
            await send(push, subscription, **changes)
    point = b64(subscription.public_key)
    for endpoint, key, secret in (
        ("http://push.example.net/", point, b64(SECRET)),
        ("https://127.0.0.1/", point, b64(SECRET)),
        ("https://push.example.net/", b64(b"\4" + bytes(64)), b64(SECRET)),
        ("https://push.example.net/", point, b64(b"short")),
    ):
        with pytest.raises(ValueError, match=r".+"):
            Subscription.parse(endpoint, key, secret)
    assert Endpoint.parse("https://push.example.net:8443/").origin == "https://push.example.net:8443"
