"""Hands text messages to a provider that takes JSON over HTTPS and drops a second call with the same idempotency key.

The body is {"to", "from", "text", "reference"}, the key goes in `Idempotency-Key`: what the larger providers and every
gateway of one's own can be made to take.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from rapport_chassis.outbound import Endpoint

from rapport_notification.domain.resolution import Capability
from rapport_notification.sending.fields import Token
from rapport_notification.sending.http import Poster
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.sms import SmsMessage

_MESSAGE_REFUSED: Final = frozenset({400, 404, 410, 413, 422})


@dataclass(frozen=True, slots=True)
class SmsHttpSettings:
    """A provider.

    Attributes:
        endpoint: Where messages are posted.
        token: Sent as bearer token.
        key_for_us: How long it keeps idempotency keys, by its documentation; 0 if it keeps none.
    """

    endpoint: Endpoint
    token: str = field(repr=False)
    key_for_us: int = 0


class SmsHttpProvider:
    """The adapter."""

    def __init__(self, settings: SmsHttpSettings, poster: Poster) -> None:
        """Call nothing yet."""
        self._settings = settings
        self._poster = poster
        self.capability = Capability(key_for_us=settings.key_for_us)

    async def send(self, message: SmsMessage, may_send: Callable[[], bool]) -> Outcome:
        """Hand a message over. 409 says that it has the key already: the first call arrived."""
        body = {
            "to": message.recipient,
            "from": message.sender,
            "text": message.text,
            "reference": message.idempotency_key,
        }
        headers = {
            "authorization": f"Bearer {self._settings.token}",
            "content-type": "application/json",
            "idempotency-key": Token(message.idempotency_key).value,
        }
        outcome = await self._poster.post(self._settings.endpoint, headers, json.dumps(body).encode(), may_send)
        if outcome.code == 409 and self._settings.key_for_us:
            return replace(outcome, handed=Handed.SENT)
        if outcome.code in _MESSAGE_REFUSED:
            return replace(outcome, handed=Handed.REFUSED)
        return outcome

    async def seen(self, idempotency_key: str) -> bool | None:
        """Return None: this form of provider cannot be asked."""
        return None
