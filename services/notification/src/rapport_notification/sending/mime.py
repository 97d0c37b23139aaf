"""Writes a mail in two parts, from a skeleton that is made once for a template: some twentieth of the library's time.

The bytes are final: lines end with CR LF, none is longer than 998 octets, a body part longer than that or not in ASCII
is quoted-printable, and the two list headers stand on one line each, byte for byte as they are signed (RFC 8058).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from rapport_notification.sending.fields import Address, FieldRefusedError, Text, Token, Url

ONE_CLICK: Final = b"List-Unsubscribe=One-Click"

_WORD_OCTETS: Final = 42  # encoded 56; with =?utf-8?b?...?= 68, below the 75 an encoded word may have
_LINE: Final = 76
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+\Z")
_OTHER_LINE_ENDS: Final = ("\r", "\u2028", "\u2029", "\x85")
_LINE_ENDS: Final = re.compile(r"\r\n|\r|\u2028|\u2029|\x85")
_LONG_LINE: Final = re.compile(rb"[^\r\n]{77}")
_CONTROLS: Final = bytes(code for code in (*range(0x20), 0x7F) if code not in b"\t\n")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail.

    Attributes:
        sender: In From.
        sender_name: Beside it; may be empty.
        recipient: In To.
        recipient_name: Beside it; may be empty.
        subject: The subject.
        message_id: Left part of the Message-ID; the right one is the sender's domain.
        date: Aware.
        text: The plain part.
        html: The other one; empty for a mail of one part.
        unsubscribe: Where a POST unsubscribes; None where there is nothing to unsubscribe from.
        list_id: What the mail programs group by; None for none.
        reply_to: Where answers go; None for the sender.
    """

    sender: Address
    sender_name: Text
    recipient: Address
    recipient_name: Text
    subject: Text
    message_id: Token
    date: datetime
    text: str
    html: str = ""
    unsubscribe: Url | None = None
    list_id: Token | None = None
    reply_to: Address | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A mail in bytes.

    Attributes:
        headers: Name and value, without the space after the colon; folded lines keep their CR LF.
        body: The rest.
    """

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def joined(self, *extra: tuple[bytes, bytes]) -> bytes:
        """Return the whole mail, with headers in front of its own."""
        lines = b"".join([name + b": " + value + b"\r\n" for name, value in (*extra, *self.headers)])
        return lines + b"\r\n" + self.body


def write(mail: Mail, boundary: bytes = b"=_rapport") -> Written:
    """Write a mail.

    Args:
        mail: What it says.
        boundary: Between the parts. It holds "=_", which neither plain ASCII that was checked for it nor
            quoted-printable can have at the start of a line.

    Raises:
        FieldRefusedError: The date is naive, or a part holds control characters.
    """
    if mail.date.tzinfo is None:
        raise FieldRefusedError("the date is naive")
    domain = mail.sender.domain.encode()
    headers = [
        (b"Date", format_datetime(mail.date).encode()),
        (b"From", _mailbox(b"From", mail.sender_name, mail.sender)),
        (b"To", _mailbox(b"To", mail.recipient_name, mail.recipient)),
        (b"Subject", _unstructured(b"Subject", mail.subject.value)),
        (b"Message-ID", b"<" + mail.message_id.value.encode() + b"@" + domain + b">"),
        (b"MIME-Version", b"1.0"),
        (b"Auto-Submitted", b"auto-generated"),
    ]
    if mail.reply_to is not None:
        headers.append((b"Reply-To", mail.reply_to.value.encode()))
    if mail.list_id is not None:
        headers.append((b"List-Id", b"<" + mail.list_id.value.encode() + b"." + domain + b">"))
    if mail.unsubscribe is not None:
        headers.append((b"List-Unsubscribe", b"<" + mail.unsubscribe.value.encode() + b">"))
        headers.append((b"List-Unsubscribe-Post", ONE_CLICK))
    plain_encoding, plain = _part(mail.text)
    if not mail.html:
        headers.append((b"Content-Type", b"text/plain; charset=utf-8"))
        headers.append((b"Content-Transfer-Encoding", plain_encoding))
        return Written(tuple(headers), plain)
    headers.append((b"Content-Type", b'multipart/alternative; boundary="' + boundary + b'"'))
    html_encoding, html = _part(mail.html)
    edge = b"--" + boundary
    body = b"".join(
        (
            edge,
            b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: ",
            plain_encoding,
            b"\r\n\r\n",
            plain,
            b"\r\n",
            edge,
            b"\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: ",
            html_encoding,
            b"\r\n\r\n",
            html,
            b"\r\n",
            edge,
            b"--\r\n",
        )
    )
    return Written(tuple(headers), body)


def _part(text: str) -> tuple[bytes, bytes]:
    """Return a part's encoding and its bytes, which end with CR LF."""
    if any(end in text for end in _OTHER_LINE_ENDS):
        text = _LINE_ENDS.sub("\n", text)
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise FieldRefusedError("a part holds half a character") from error
    if len(data.translate(None, _CONTROLS)) != len(data):
        raise FieldRefusedError("a part holds control characters")
    data = data.replace(b"\n", b"\r\n")
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    if data.isascii() and b"=_" not in data and not _LONG_LINE.search(data):
        return b"7bit", data
    # It ends lines as the first line of the text does, so always with CR LF.
    return b"quoted-printable", binascii.b2a_qp(data, istext=True)


def _mailbox(header: bytes, name: Text, address: Address) -> bytes:
    spec = b"<" + address.value.encode() + b">"
    text = " ".join(name.value.split())
    if not text:
        return spec
    if text.isascii() and "=?" not in text:
        quoted = text if _ATOMS.match(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        written = quoted.encode()
    else:
        written = _encoded_words(text)
    # A fold may come before the address, where a space may.
    room = len(header) + 2 + len(written.rpartition(b"\r\n")[2]) + 1 + len(spec) <= _LINE
    return written + (b" " if room else b"\r\n ") + spec


def _unstructured(header: bytes, text: str) -> bytes:
    if not text.isascii() or "=?" in text or "  " in text or text != text.strip():
        return _encoded_words(text)
    if len(header) + 2 + len(text) <= _LINE:
        return text.encode()
    lines: list[bytes] = []
    line = b""
    for word in text.encode().split(b" "):
        room = _LINE - (len(header) + 2 if not lines else 1)
        if line and len(line) + 1 + len(word) > room:
            lines.append(line)
            line = word
        else:
            line = line + b" " + word if line else word
    return b"\r\n ".join([*lines, line])


def _encoded_words(text: str) -> bytes:
    """Return encoded words (RFC 2047), each of whole characters, one a line."""
    words, word = [], b""
    for character in text:
        octets = character.encode()
        if len(word) + len(octets) > _WORD_OCTETS:
            words.append(word)
            word = b""
        word += octets
    return b"\r\n ".join(b"=?utf-8?b?" + base64.b64encode(each) + b"?=" for each in [*words, word])
