"""Whether a person did something with a message, or a machine that looks at every mail before a person can.

A security scanner follows links seconds after the mail arrives, many of them at once, and says HEAD or that it is one.
A privacy proxy loads pictures whether or not anybody looks. Nothing of a request but the verdict is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from rapport_notification.domain.vocabulary import SECOND_US


class Engagement(IntEnum):
    """What was done. Numbers are those of the contract."""

    OPENED = 1
    CLICKED = 2
    REPLIED = 3
    COMPLAINED = 4


class By(IntEnum):
    """Who did it. Numbers are those of the contract."""

    UNKNOWN = 0
    PERSON = 1
    SCANNER = 2


SETTLES_US: Final = 10 * SECOND_US
"""How long it takes until a burst of requests can be told from one."""

_TOO_SOON_US: Final = 2 * SECOND_US
_BURST_US: Final = 5 * SECOND_US
_BURST_LINKS: Final = 3
_MACHINE: Final = re.compile(
    r"bot\b|crawl|spider|scan|preview|prefetch|proxy|headless|phantom|python|curl|wget|java/|go-http|okhttp|libwww"
    r"|barracuda|mimecast|proofpoint|symantec|safelinks|forcepoint|googleimageproxy|yahoomailproxy",
    re.IGNORECASE,
)
_BROWSER: Final = re.compile(r"\AMozilla/5\.0 \([^)]{5,200}\)")


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that was done with a message.

    Attributes:
        engagement: What.
        link: The link that was followed; "" for none.
        at_us: When.
        looks: What the request itself looked like.
    """

    engagement: Engagement
    link: str
    at_us: int
    looks: By


def looks_like(method: str, user_agent: str, *, prefetch: bool) -> By:
    """Return what a request looks like by itself.

    Args:
        method: Of HTTP.
        user_agent: What the client calls itself.
        prefetch: Whether it says that it fetches ahead.
    """
    if method != "GET" or prefetch or _MACHINE.search(user_agent):
        return By.SCANNER
    return By.PERSON if _BROWSER.match(user_agent) else By.UNKNOWN


def judged(one: Seen, others: Sequence[Seen], sent_us: int) -> By:
    """Return who did something, from all that was done with the message around then.

    An opening is only a picture that was loaded: it is a person's at most where the person also did more.

    Args:
        one: What is judged.
        others: All that was done with the message, that included or not.
        sent_us: When the message was handed over.
    """
    if one.looks is By.SCANNER or one.at_us < sent_us + _TOO_SOON_US:
        return By.SCANNER
    near = {each.link for each in others if each.link and abs(each.at_us - one.at_us) <= _BURST_US} | {one.link} - {""}
    if one.engagement is Engagement.CLICKED and len(near) >= _BURST_LINKS:
        return By.SCANNER
    if one.engagement is Engagement.OPENED:
        return By.UNKNOWN
    return one.looks
