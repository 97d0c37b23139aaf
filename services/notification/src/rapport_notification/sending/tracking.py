"""Links that say they were followed, and a picture that says it was loaded: only where the tracking purpose allows.

A link of ours names the message, the link and where it leads, all sealed, so nobody can make one that leads elsewhere.
What is too long for that is left as it is.
"""

from __future__ import annotations

import re
from datetime import datetime
from html import escape, unescape
from typing import Final

from rapport_chassis.asgi.links import LinkSigner

from rapport_notification.sending.unsubscribe import LIFE

CLICK: Final = "click"
OPEN: Final = "open"
CLICK_PAGE: Final = "/c/"
OPEN_PAGE: Final = "/o/"

_URL_LIMIT: Final = 560  # what a token of 1,024 letters has room for, beside the rest
_ANCHOR: Final = re.compile(r"""(<a\s(?:[^<>]*?\s)?href=")(https://[^"<>\s]+)(")""", re.IGNORECASE)
_END: Final = re.compile(r"</body>", re.IGNORECASE)


class Tracking:
    """Makes and opens such links."""

    def __init__(self, signer: LinkSigner, origin: str) -> None:
        """Take the signer.

        Args:
            signer: With keys of their own.
            origin: Of the site that answers, such as "https://mail.brand.example".
        """
        self._signer = signer
        self._origin = origin

    def links(self, notification_id: str, html: str, sent_at: datetime) -> str:
        """Return the other part of a mail with its links and a picture of ours; links of ours already stay."""
        count = 0

        def ours(found: re.Match[str]) -> str:
            nonlocal count
            target = unescape(found[2])
            if len(target) > _URL_LIMIT or target.startswith(self._origin):
                return found[0]
            count += 1
            token = self._signer.sign(CLICK, f"{notification_id} link{count} {target}", sent_at + LIFE)
            return f"{found[1]}{escape(self._origin + CLICK_PAGE + token)}{found[3]}"

        changed = _ANCHOR.sub(ours, html)
        token = self._signer.sign(OPEN, notification_id, sent_at + LIFE)
        picture = f'<img src="{escape(self._origin + OPEN_PAGE + token)}" width="1" height="1" alt="">'
        return _END.sub(lambda end: picture + end[0], changed, count=1)

    def followed(self, token: str) -> tuple[str, str, str]:
        """Return message, link and target of a link that was followed.

        Raises:
            RapportError: LINK_INVALID, LINK_PURPOSE_WRONG or LINK_EXPIRED.
        """
        notification_id, link, target = self._signer.open(CLICK, token).subject.split(" ", 2)
        return notification_id, link, target

    def opened(self, token: str) -> str:
        """Return the message whose picture was loaded.

        Raises:
            RapportError: LINK_INVALID, LINK_PURPOSE_WRONG or LINK_EXPIRED.
        """
        return self._signer.open(OPEN, token).subject
