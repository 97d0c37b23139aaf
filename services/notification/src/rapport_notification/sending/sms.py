"""Text messages: what a text costs, what an answer means, and what a provider has to be able to do."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

from rapport_notification.domain.contents import look_up
from rapport_notification.domain.resolution import Capability
from rapport_notification.sending.outcome import Outcome

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED: Final = frozenset("\f^{}\\[~]|€")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}\Z")


@dataclass(frozen=True, slots=True)
class Segments:
    """What a text costs.

    Attributes:
        gsm7: Written in the 7-bit alphabet; one curly quote turns all of it into 16-bit.
        units: Septets, or 16-bit units.
        count: Segments, each of which is paid.
    """

    gsm7: bool
    units: int
    count: int


def segments(text: str) -> Segments:
    """Return what a text costs: a pair that may not be parted goes into the next segment as a whole (3GPP 23.040)."""
    gsm7 = all(each in _BASIC or each in _ESCAPED for each in text)
    if gsm7:
        widths, alone, part = [2 if each in _ESCAPED else 1 for each in text], 160, 153
    else:
        widths, alone, part = [len(each.encode("utf-16-be")) // 2 for each in text], 70, 67
    units = sum(widths)
    if units <= alone:
        return Segments(gsm7, units, 1)
    count, room = 1, part
    for width in widths:
        if width > room:
            count, room = count + 1, part
        room -= width
    return Segments(gsm7, units, count)


class Reply(Enum):
    """What an answer means."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    REVIEW = "review"
    """It may mean stop: a person reads it, and nothing is sent meanwhile."""
    OTHER = "other"


class Said(NamedTuple):
    """What an answer says.

    Attributes:
        reply: What it means.
        language: Of the word that says so; "" where none does.
    """

    reply: Reply
    language: str = ""


class Keywords:
    """Words that stop, start and ask, in each language; those of every language count for every person."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        """Read the data file."""
        kinds = (Reply.STOP, Reply.START, Reply.HELP)
        self._words: dict[str, Said] = {}
        for language, words in data["languages"].items():
            for kind in kinds:
                for word in words[kind.value]:
                    self._words.setdefault(_plain(word), Said(kind, language))
        phrases = "|".join(re.escape(_plain(each)) for words in data["languages"].values() for each in words["phrases"])
        self._phrases = re.compile(rf"(?<!\w)(?:{phrases})(?!\w)")

    def read(self, text: str) -> Said:
        """Return what an answer means.

        A keyword alone is one, whatever its case and punctuation; within more text a stop word leaves the answer to a
        person, for free text counts as well.
        """
        plain = _plain(text)
        if plain in self._words:
            return self._words[plain]
        stops = (self._words[word].reply is Reply.STOP for word in plain.split() if word in self._words)
        return Said(Reply.REVIEW if any(stops) or self._phrases.search(plain) else Reply.OTHER)


class Answers:
    """What is answered to STOP, START and HELP.

    Args:
        data: The wording, by language and meaning.
        name: Whose messages these are.
        contact: Where people find help.
    """

    def __init__(self, data: Mapping[str, Mapping[str, str]], name: str, contact: str) -> None:
        self._texts = {
            language: {Reply(kind): text.format(name=name, help=contact) for kind, text in texts.items()}
            for language, texts in data.items()
        }

    def text(self, reply: Reply, *languages: str) -> str:
        """Return an answer in the first of these languages that there is, else in English."""
        found = (name for each in languages if each and (name := look_up(each, list(self._texts))))
        return self._texts[next(found, "en")][reply]


@dataclass(frozen=True, slots=True)
class SmsMessage:
    """A text message.

    Attributes:
        recipient: In E.164.
        sender: A number or a name of the installation.
        text: What it says.
        idempotency_key: Of the attempt's series.
    """

    recipient: str
    sender: str
    text: str
    idempotency_key: str

    def __post_init__(self) -> None:
        if not _E164.match(self.recipient):
            raise ValueError("a number is written in E.164")
        if not self.text or any(unicodedata.category(each) in {"Cc", "Cs"} for each in self.text.replace("\n", "")):
            raise ValueError("a text message is text")


class SmsProvider(Protocol):
    """What an adapter for a provider offers. The conformance kit certifies one."""

    capability: Capability
    """What it can do about a send in doubt."""

    async def send(self, message: SmsMessage, may_send: Callable[[], bool]) -> Outcome:
        """Hand a message over; asks `may_send` right before the first byte. Raises nothing the network can cause."""
        ...

    async def seen(self, idempotency_key: str) -> bool | None:
        """Say whether it has taken a message; None if it cannot tell now."""
        ...


def within_budget(texts: Sequence[str], budget: int) -> bool:
    """Say whether each text costs at most so many segments."""
    return all(segments(each).count <= budget for each in texts)


def _plain(text: str) -> str:
    """Return a text without accents, case, punctuation and double spaces."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(each for each in decomposed if not unicodedata.combining(each))
    return " ".join("".join(each if each.isalnum() else " " for each in letters.replace("-", "")).split())
