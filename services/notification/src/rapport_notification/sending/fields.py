"""What may stand in a header. Only these values reach the writer, and none with a line break can be made.

Text is printable Unicode on one line; an address and a URL are plain ASCII. So a name, a subject or a link taken from
anywhere cannot begin a header of its own, end the header block or hide a part of a line.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

TEXT_LIMIT: Final = 300
URL_LIMIT: Final = 900
"""With its header name it stays on one line of at most 998 octets (RFC 5322)."""

_ADDRESS: Final = re.compile(
    r"(?=.{3,254}\Z)(?=[^@]{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z"
)
_URL: Final = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:[/?][!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]*)?\Z")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,200}\Z")
_FORBIDDEN: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_PLAIN: Final = re.compile(r"[ -~]*\Z")


class FieldRefusedError(ValueError):
    """A value cannot stand in a header. The text names the kind of value, never the value."""


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text: a subject, a name.

    Raises:
        FieldRefusedError: It has a line break, a control character or half a character, or is too long.
    """

    value: str

    def __post_init__(self) -> None:
        if len(self.value) > TEXT_LIMIT:
            raise FieldRefusedError("the text of a header is too long")
        if not _PLAIN.match(self.value) and any(unicodedata.category(each) in _FORBIDDEN for each in self.value):
            raise FieldRefusedError("the text of a header is not one printable line")


@dataclass(frozen=True, slots=True)
class Address:
    """An e-mail address in ASCII; a domain in other letters is written in its xn-- form.

    Raises:
        FieldRefusedError: It is none.
    """

    value: str

    def __post_init__(self) -> None:
        if not _ADDRESS.match(self.value):
            raise FieldRefusedError("not an address")

    @property
    def domain(self) -> str:
        """What is right of the @, in lower case."""
        return self.value.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True)
class Url:
    """An https URL, fit for a header.

    Raises:
        FieldRefusedError: It is none, or too long.
    """

    value: str

    def __post_init__(self) -> None:
        if len(self.value) > URL_LIMIT or not _URL.match(self.value):
            raise FieldRefusedError("not an https URL that fits into a header")


@dataclass(frozen=True, slots=True)
class Token:
    """A name without spaces: the left part of a Message-ID, a list's id.

    Raises:
        FieldRefusedError: It is none.
    """

    value: str

    def __post_init__(self) -> None:
        if not _TOKEN.match(self.value):
            raise FieldRefusedError("not a token")
