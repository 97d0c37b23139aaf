"""Text messages: handed to a provider that drops a second call with the same key."""

from __future__ import annotations

from collections.abc import Callable

from rapport_notification.app.carriers import Parcel
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.providers import ProviderPool
from rapport_notification.sending.sms import SmsMessage, SmsProvider


class SmsCarrier:
    """Hands text messages over.

    Args:
        provider: The provider.
        sender: Number or name that messages come from.
        pool: With the provider alone.
    """

    stands_for_address = True

    def __init__(self, provider: SmsProvider, sender: str, pool: ProviderPool) -> None:
        self.pool = pool
        self._provider = provider
        self._sender = sender

    async def hand_over(self, provider: str, parcel: Parcel, may_send: Callable[[], bool]) -> Outcome:
        """Hand a text message over; `may_send` is asked right before the first byte."""
        try:
            message = SmsMessage(parcel.contact.address, self._sender, parcel.texts.text.strip(), parcel.key)
        except ValueError:
            return Outcome(Handed.REFUSED)
        return await self._provider.send(message, may_send)

    async def seen(self, provider: str, key: str) -> bool | None:
        """Say whether the provider has taken a message; None if it cannot tell."""
        return await self._provider.seen(key)
