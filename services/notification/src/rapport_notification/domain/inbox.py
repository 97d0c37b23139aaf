"""Messages that people find inside a site or an application."""

from __future__ import annotations

from typing import NamedTuple


class InboxEntry(NamedTuple):
    """A message in an inbox, as of its last change.

    Attributes:
        position: Of that change: rises with each change of any inbox.
        notification_id: The message.
        brand_id: The brand that speaks; "" for none in particular.
        category: Of the message.
        locale: Its language.
        subject: Its first line.
        body: Its text.
        sent_us: When it was put there.
        read_us: When it was read; 0 if it was not.
        removed: It is not there any more.
    """

    position: int
    notification_id: str
    brand_id: str
    category: str
    locale: str
    subject: str
    body: str
    sent_us: int
    read_us: int
    removed: bool
