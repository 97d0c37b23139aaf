"""E-mail: written, signed, and handed to one of several mail servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from rapport_chassis.clock import Clock

from rapport_notification.adapters.relay_log import RelayLog
from rapport_notification.app.carriers import Parcel
from rapport_notification.domain.vocabulary import MessageClass
from rapport_notification.sending.dkim import DkimKey, DkimSigner
from rapport_notification.sending.fields import Address, FieldRefusedError, Text, Token
from rapport_notification.sending.mime import Mail, write
from rapport_notification.sending.outcome import Handed, Outcome
from rapport_notification.sending.providers import ProviderPool
from rapport_notification.sending.return_path import ReturnPaths
from rapport_notification.sending.smtp import Envelope, SmtpPool
from rapport_notification.sending.unsubscribe import UnsubscribeLinks


@dataclass(frozen=True)
class Letterhead:
    """What all mails of the installation have.

    Attributes:
        sender: In From.
        sender_name: Beside it.
        reply_to: Where answers go; None for the sender.
        return_paths: Where bounces go.
        links: Unsubscribe; None where mails carry no links.
        signer: Signs; None where the relay does.
        tracked: Gives the other part its links where tracking is allowed; None where nothing is tracked.
    """

    sender: Address
    sender_name: Text
    reply_to: Address | None
    return_paths: ReturnPaths
    links: UnsubscribeLinks | None
    signer: DkimSigner | None
    tracked: Callable[[Parcel], str] | None = None


class EmailCarrier:
    """Hands mails over.

    Args:
        letterhead: What all mails have.
        servers: Connections, by the provider's name.
        logs: Logs that tell whether a server has seen a mail, by the provider's name.
        pool: Chooses among the servers.
        clock: The time.
    """

    stands_for_address = True

    def __init__(
        self,
        letterhead: Letterhead,
        servers: Mapping[str, SmtpPool],
        logs: Mapping[str, RelayLog],
        pool: ProviderPool,
        clock: Clock,
    ) -> None:
        self.pool = pool
        self._letterhead = letterhead
        self._servers = servers
        self._logs = logs
        self._clock = clock

    async def hand_over(self, provider: str, parcel: Parcel, may_send: Callable[[], bool]) -> Outcome:
        """Hand a mail to a server; `may_send` is asked right before DATA."""
        try:
            envelope, mail = self._written(parcel)
        except (FieldRefusedError, ValueError):
            return Outcome(Handed.REFUSED, status="5.6.0")
        return await self._servers[provider].send(envelope, mail, may_send)

    async def seen(self, provider: str, key: str) -> bool | None:
        """Say whether a server's log has a mail; None where there is no log."""
        log = self._logs.get(provider)
        return None if log is None else await log.seen(f"{key}@{self._letterhead.sender.domain}")

    async def close(self) -> None:
        """Take leave of the servers."""
        for each in self._servers.values():
            await each.close()

    def _written(self, parcel: Parcel) -> tuple[Envelope, bytes]:
        head = self._letterhead
        address = Address(parcel.contact.address)
        advertises = parcel.message_class is MessageClass.MARKETING
        unsubscribe = head.links.url(parcel.notification_id, parcel.sent_at) if head.links and advertises else None
        written = write(
            Mail(
                sender=head.sender,
                sender_name=head.sender_name,
                recipient=address,
                recipient_name=Text(""),
                subject=Text(parcel.texts.subject),
                message_id=Token(parcel.key),
                date=parcel.sent_at,
                text=parcel.texts.text,
                html=head.tracked(parcel) if head.tracked is not None else parcel.texts.html,
                unsubscribe=unsubscribe,
                list_id=Token(parcel.category) if unsubscribe is not None else None,
                reply_to=head.reply_to,
            )
        )
        signatures = head.signer.sign(written, int(parcel.sent_at.timestamp())) if head.signer is not None else ()
        path = head.return_paths.address(parcel.notification_id, min(parcel.attempt, 255))
        return Envelope(path, address, Token(parcel.key)), written.joined(*signatures)


def signer_of(domain: str, selector: str, key: Path) -> DkimSigner:
    """Return what signs mails with the key in a PEM file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no RSA key of at least 2048 bits.
    """
    loaded = load_pem_private_key(key.read_bytes(), None)
    if not isinstance(loaded, RSAPrivateKey):
        raise ValueError("the DKIM key is not an RSA key")
    return DkimSigner(domain, [DkimKey(selector, loaded)])
