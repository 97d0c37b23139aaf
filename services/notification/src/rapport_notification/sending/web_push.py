"""Notifications in a browser: encrypted for it alone (RFC 8291), signed by us (RFC 8292), posted to its service."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02
from rapport_chassis.outbound import Endpoint

from rapport_notification.sending.http import Poster
from rapport_notification.sending.outcome import Handed, Outcome

PLAIN_LIMIT: Final = 3993
"""What fits with its padding and header into the 4,096 bytes that each service takes."""
TOKEN_S: Final = 12 * 3600
"""How long a token says it is good; at most a day is allowed."""

_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
_GONE: Final = frozenset({404, 410})
_FINAL: Final = frozenset({400, 401, 403, 413})
_URGENCIES: Final = frozenset({"very-low", "low", "normal", "high"})


@dataclass(frozen=True, slots=True)
class Subscription:
    """A browser's.

    Attributes:
        endpoint: Of its push service.
        public_key: The browser's, an uncompressed P-256 point.
        secret: Its authentication secret, 16 bytes.
    """

    endpoint: Endpoint
    public_key: bytes
    secret: bytes

    @classmethod
    def parse(cls, endpoint: str, p256dh: str, auth: str) -> Subscription:
        """Read what a browser gives.

        Raises:
            ValueError: It is no such thing.
        """
        key, secret = _decoded(p256dh), _decoded(auth)
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
        if len(secret) != 16:
            raise ValueError("the secret of a subscription has 16 bytes")
        return cls(Endpoint.parse(endpoint), key, secret)


class WebPush:
    """Sends to subscriptions with one key of ours, which the browser was told when it subscribed."""

    def __init__(self, poster: Poster, key: ec.EllipticCurvePrivateKey, contact: str) -> None:
        """Take the key.

        Args:
            poster: Posts.
            key: P-256.
            contact: Where the push service finds us: mailto: or https:.
        """
        self._poster = poster
        self._vapid = Vapid02(key)
        self._contact = contact
        self._tokens: dict[str, tuple[str, int]] = {}

    async def send(
        self,
        subscription: Subscription,
        content: bytes,
        *,
        now: int,
        ttl_s: int,
        urgency: str,
        topic: str,
        may_send: Callable[[], bool],
    ) -> Outcome:
        """Send a notification.

        Args:
            subscription: To which browser.
            content: What; at most `PLAIN_LIMIT` bytes.
            now: Unix seconds.
            ttl_s: How long the service keeps it for a browser that is off.
            urgency: Of RFC 8030: very-low, low, normal, high.
            topic: A newer one of the same topic takes its place; "" for none.
            may_send: Asked right before the first byte.

        Returns:
            REFUSED with 404 or 410: the subscription is gone.

        Raises:
            ValueError: It is too long, or urgency or topic are none.
        """
        if len(content) > PLAIN_LIMIT or urgency not in _URGENCIES or (topic and not _TOPIC.match(topic)):
            raise ValueError("not a web push message")
        headers = {
            "authorization": self._token(subscription.endpoint.origin, now),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(max(0, ttl_s)),
            "urgency": urgency,
        }
        if topic:
            headers["topic"] = topic
        outcome = await self._poster.post(subscription.endpoint, headers, encrypted(subscription, content), may_send)
        if outcome.code in _GONE | _FINAL:
            return replace(outcome, handed=Handed.REFUSED)
        return outcome

    def _token(self, origin: str, now: int) -> str:
        """Return the header for a service; signed anew in the second half of its life."""
        known = self._tokens.get(origin)
        if known is not None and now < known[1] - TOKEN_S // 2:
            return known[0]
        claims = {"aud": origin, "exp": now + TOKEN_S, "sub": self._contact}
        token: str = self._vapid.sign(claims)["Authorization"]
        self._tokens = {each: kept for each, kept in self._tokens.items() if now < kept[1]}
        self._tokens[origin] = (token, now + TOKEN_S)
        return token


def encrypted(subscription: Subscription, content: bytes) -> bytes:
    """Return content for one browser, under a key and a salt of its own."""
    found: bytes = http_ece.encrypt(
        content,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=subscription.public_key,
        auth_secret=subscription.secret,
    )
    return found


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
