"""The links that unsubscribe: good for one message's recipient and category, and as long as the mail lives.

Who opens one with GET is shown a page, for scanners open every link; a POST acts (RFC 8058). The link names the message
and nothing else, and cannot be made without the key.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.asgi.links import LinkSigner

from rapport_notification.sending.fields import Url

PURPOSE: Final = "unsubscribe"
PAGE: Final = "/u/"
LIFE: Final = timedelta(days=3653)
"""Ten years: people unsubscribe from the mail they find. A key is dropped no sooner after its last use."""


class UnsubscribeLinks:
    """Makes and opens the links."""

    def __init__(self, signer: LinkSigner, origin: str) -> None:
        """Take the signer.

        Args:
            signer: With keys of their own.
            origin: Of the site that answers, such as "https://mail.brand.example".
        """
        self._signer = signer
        self._origin = origin

    def url(self, notification_id: str, sent_at: datetime) -> Url:
        """Return the link of a message.

        Raises:
            FieldRefusedError: The origin is not https.
        """
        return Url(f"{self._origin}{PAGE}{self._signer.sign(PURPOSE, notification_id, sent_at + LIFE)}")

    def message(self, path: str) -> str:
        """Return the message a link belongs to.

        Raises:
            RapportError: LINK_INVALID, LINK_PURPOSE_WRONG or LINK_EXPIRED.
        """
        return self._signer.open(PURPOSE, path.removeprefix(PAGE)).subject
