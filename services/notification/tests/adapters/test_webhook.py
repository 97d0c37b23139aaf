"""Webhooks over real TLS to a server of this machine, and every way to lead the caller elsewhere."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from notification_https import NAME, serving
from rapport_chassis.outbound import Endpoint, EndpointRefusedError, is_public
from rapport_chassis.webhooks import WebhookKey
from rapport_notification.sending.fields import Token
from rapport_notification.sending.http import Poster
from rapport_notification.sending.outcome import Handed
from rapport_notification.sending.webhook import BODY_LIMIT, call, headers
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def post(poster: Poster, endpoint: Endpoint, may_send: bool = True):
    keys = [WebhookKey.parse(SECRET)]
    now = int(datetime.now(UTC).timestamp())
    return await call(poster, endpoint, Token("ntf_1"), now, b'{"a": 1}', keys, lambda: may_send)


async def test_a_call_arrives_signed_as_the_reference_verifies_it(contexts) -> None:
    async with serving(contexts) as (server, poster, endpoint):
        assert (await post(poster, endpoint)).handed is Handed.SENT
        [(sent, body)] = server.requests
        assert Webhook(SECRET).verify(body, sent) == {"a": 1}
        assert sent["target"] == "POST /a?b=c HTTP/1.1"
        assert (await post(poster, endpoint)).handed is Handed.SENT
        assert server.connections == 1


def test_the_published_vector_is_reproduced() -> None:
    found = headers(
        Token("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330, b'{"test": 2432232314}', [WebhookKey.parse(SECRET)]
    )
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_second_key_signs_beside_the_first_by_ed25519() -> None:
    seed = bytes(range(32))
    keys = [WebhookKey.parse(SECRET), WebhookKey.parse("whsk_" + base64.b64encode(seed).decode())]
    found = headers(Token("ntf_1"), 17, b"{}", keys)["webhook-signature"].split(" ")
    assert [each.partition(",")[0] for each in found] == ["v1", "v1a"]
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    public.verify(base64.b64decode(found[1].partition(",")[2]), b"ntf_1.17.{}")


PUBLIC = "whpk_" + base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize("text", ["", "secret", "whsec_", "whsec_AAAA", "whsec_!", "whsk_" + "A" * 32, PUBLIC])
def test_a_key_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a webhook key"):
        WebhookKey.parse(text)


def test_what_the_format_cannot_hold_is_refused() -> None:
    key = [WebhookKey.parse(SECRET)]
    for arguments in (
        (Token("a.b"), 1, b"", key),
        (Token("a"), 1, b"x" * (BODY_LIMIT + 1), key),
        (Token("a"), 1, b"", []),
    ):
        with pytest.raises(ValueError, match="webhook"):
            headers(*arguments)


@pytest.mark.parametrize(
    ("status", "handed", "retry"),
    [
        (b"204 No", Handed.SENT, None),
        (b"302 Found\r\nlocation: https://169.254.169.254/", Handed.DEFERRED, None),
        (b"410 Gone", Handed.REFUSED, None),
        (b"429 Slow\r\nretry-after: 17", Handed.DEFERRED, 17.0),
        (b"503 No\r\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT", Handed.DEFERRED, None),
    ],
    ids=lambda each: str(each)[:12],
)
async def test_answers_are_told_apart_and_no_redirect_is_followed(contexts, status, handed, retry) -> None:
    async with serving(contexts) as (server, poster, endpoint):
        server.answer = b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n"
        outcome = await post(poster, endpoint)
        assert (outcome.handed, outcome.retry_after_s) == (handed, retry)
        assert len(server.requests) == 1


async def test_a_call_that_broke_after_it_began_is_unknown_and_one_that_may_not_go_does_not(contexts) -> None:
    async with serving(contexts) as (server, poster, endpoint):
        assert (await post(poster, endpoint, may_send=False)).handed is Handed.WITHDRAWN
        assert server.requests == []
        server.answer = b""
        assert (await post(poster, endpoint)).handed is Handed.UNKNOWN
        assert len(server.requests) == 1


MIXED = "93.184.216.34 169.254.169.254"


@pytest.mark.parametrize("addresses", ["127.0.0.1", "10.0.0.1", MIXED, "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", ""])
async def test_a_name_that_leads_inside_is_not_connected_to(contexts, addresses: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return addresses.split()

    poster = Poster(context=contexts[1], resolve=resolve, timeout_s=2.0)
    assert (await post(poster, Endpoint.parse(f"https://{NAME}/"))).handed is Handed.UNREACHABLE
    await poster.close()


async def test_a_resolver_that_changes_its_mind_is_asked_once_for_a_connection(contexts) -> None:
    async with serving(contexts) as (server, _, endpoint):
        answers = [["127.0.0.1"], ["10.0.0.1"]]

        async def resolve(host: str, port: int) -> list[str]:
            return answers.pop(0)

        poster = Poster(context=contexts[1], resolve=resolve, allowed=lambda each: each == "127.0.0.1", timeout_s=5.0)
        assert (await post(poster, endpoint)).handed is Handed.SENT
        assert answers == [["10.0.0.1"]]
        assert server.connections == 1
        await poster.close()


async def test_a_certificate_of_another_name_takes_nothing(contexts) -> None:
    async with serving(contexts) as (server, _, endpoint):

        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        other = Poster(context=contexts[1], resolve=resolve, allowed=lambda _: True, timeout_s=5.0)
        wrong = Endpoint("other.brand.example", endpoint.port, "/")
        assert (await post(other, wrong)).handed is Handed.UNREACHABLE
        assert server.requests == []
        await other.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.brand.example/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://a.localhost/",
        "https://metadata.internal/",
        "https://printer.local/",
        "https://user@hooks.brand.example/",
        "https://hooks.brand.example@evil.example/",
        "https://hooks.brand.example:22/",
        "https://hooks.brand.example:99999/",
        "https://hooks.brand.example./",
        "https://hooks.brand.example\\@evil.example/",
        "https://hooks.brand.example%00.evil.example/",
        "https://hooks.brand.example\0/",
        "https://hooks.brand.example/\r\nX: y",
        "https://hooks.brand.example/ x",
        "https://hooks.brand.example/#a",
        "https://h\u00f6\u00f6ks.example/",
        "https:///a",
        "https://",
        "file:///etc/passwd",
        "gopher://hooks.brand.example/",
        "https://①②⑦.0.0.1/",
        "https://a..example/",
        "https://" + "a" * 300 + ".example/",
    ],
)
def test_a_url_that_could_lead_elsewhere_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(EndpointRefusedError) as refused:
        Endpoint.parse(url)
    assert "example" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("0.0.0.0", False),
        ("100.64.0.1", False),
        ("192.168.1.1", False),
        ("172.16.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("2002:a00:1::", False),
        ("2001:0:a00:1::", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("nonsense", False),
    ],
)
def test_addresses_inside_are_told_from_those_outside(address: str, public: bool) -> None:
    assert is_public(address) is public
