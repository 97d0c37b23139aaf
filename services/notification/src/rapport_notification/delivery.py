"""Puts together what hands messages over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from rapport_chassis.rpc.client import Client

from rapport_notification.adapters.contacts import IdentityContacts, RequestContacts
from rapport_notification.adapters.email import EmailCarrier, Letterhead, signer_of
from rapport_notification.adapters.relay_log import KEEPS, RelayLog
from rapport_notification.assembly import Parts
from rapport_notification.domain.resolution import BLIND
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.sending import smtp
from rapport_notification.sending.fields import Address, Text
from rapport_notification.sending.providers import Provider, ProviderPool
from rapport_notification.settings import EmailSettings


def furnish_channels(parts: Parts) -> None:
    """Add e-mail, and whoever knows addresses."""
    settings = parts.settings
    identity = _client(parts, "identity")
    parts.contacts[Channel.EMAIL] = IdentityContacts(identity)
    if settings.email is not None:
        carrier = _email(parts, settings.email)
        parts.carriers[Channel.EMAIL] = carrier
        parts.components.append(Closing("mail-servers", carrier.close))


def request_contacts(parts: Parts) -> RequestContacts:
    """Return who knows the contacts of privacy requests."""
    return RequestContacts(_client(parts, "consent"))


def _client(parts: Parts, name: str) -> Client | None:
    settings = getattr(parts.settings, name)
    if settings is None:
        return None
    client = Client(settings, telemetry=parts.telemetry)
    parts.components.append(Closing(f"{name}-client", client.close))
    return client


def _email(parts: Parts, settings: EmailSettings) -> EmailCarrier:
    assert parts.return_paths is not None
    dkim = settings.dkim
    head = Letterhead(
        Address(settings.sender),
        Text(settings.sender_name),
        Address(settings.reply_to) if settings.reply_to else None,
        parts.return_paths,
        parts.links,
        signer_of(dkim.domain, dkim.selector, dkim.key) if dkim is not None else None,
    )
    servers = {
        each.name: smtp.SmtpPool(
            smtp.SmtpSettings(
                each.host,
                each.port,
                each.tls,
                each.username,
                each.password.get_secret_value(),
                each.connections,
                timeout_s=each.timeout_s,
            )
        )
        for each in settings.servers
    }
    logs = {each.name: RelayLog(each.relay_log) for each in settings.servers if each.relay_log is not None}
    providers = [
        Provider(
            each.name,
            KEEPS if each.relay_log is not None else BLIND,
            rate_per_s=each.rate_per_s,
            burst=max(1.0, each.rate_per_s / 10),
            weight=each.weight,
        )
        for each in settings.servers
    ]
    return EmailCarrier(head, servers, logs, ProviderPool(providers, parts.clock.boottime()), parts.clock)


class Closing:
    """A component that is used by others and closed at the end.

    Args:
        name: Its name.
        close: Closes it.
    """

    role: Literal["all"] = "all"

    def __init__(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        self.name = name
        self._close = close

    async def start(self) -> None:
        """Do nothing: the first use opens it."""

    async def stop(self) -> None:
        """Close it."""
        await self._close()
