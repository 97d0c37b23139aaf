"""Calls webhooks as Standard Webhooks 1.0 says: v1 by HMAC, v1a by Ed25519, the same id for each repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from rapport_chassis.outbound import Endpoint
from rapport_chassis.webhooks import WebhookKey, signed_headers

from rapport_notification.sending.fields import Token
from rapport_notification.sending.http import Poster
from rapport_notification.sending.outcome import Handed, Outcome

BODY_LIMIT: Final = 20_000
_GONE: Final = 410


def headers(message_id: Token, timestamp: int, body: bytes, keys: Sequence[WebhookKey]) -> dict[str, str]:
    """Return the headers of a call; one signature for each key, so that keys can change.

    Raises:
        ValueError: There is no key, the body is too long, or the id holds a dot, which parts what is signed.
    """
    if len(body) > BODY_LIMIT:
        raise ValueError("a webhook has a short body")
    return signed_headers(message_id.value, timestamp, body, keys)


async def call(
    poster: Poster,
    endpoint: Endpoint,
    message_id: Token,
    timestamp: int,
    body: bytes,
    keys: Sequence[WebhookKey],
    may_send: Callable[[], bool],
) -> Outcome:
    """Call an endpoint. 410 says that it is gone for good; any other refusal may pass."""
    outcome = await poster.post(endpoint, headers(message_id, timestamp, body, keys), body, may_send)
    if outcome.code == _GONE:
        return replace(outcome, handed=Handed.REFUSED)
    return outcome
