"""The mail writer against the reader of the standard library, which shares no code with it."""

import email.policy
import re
from datetime import datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_notification.sending.fields import Address, FieldRefusedError, Text, Token, Url
from rapport_notification.sending.mime import ONE_CLICK, Mail, write

BREAKS = ["\r", "\n", "\r\n", "\0", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1b", "\ud800"]
ONE_LINE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=120).map(str.strip)
CONTROLS = [chr(code) for code in range(32) if chr(code) not in "\t\n"] + ["\x7f", "\x85", "\u2028", "\u2029"]
BODY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=CONTROLS), max_size=300)


def read(data: bytes) -> EmailMessage:
    found = message_from_bytes(data, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").rstrip("\n").split("\n")


@settings(deadline=None, max_examples=50)
@given(subject=ONE_LINE, name=ONE_LINE, text=BODY, html=BODY.filter(bool))
def test_what_is_written_is_read_again_and_every_line_fits(subject: str, name: str, text: str, html: str) -> None:
    written = write(
        Mail(
            sender=Address("shop@brand.example"),
            sender_name=Text(name),
            recipient=Address("a@example.org"),
            recipient_name=Text(name),
            subject=Text(subject),
            message_id=Token("ntf_1.1"),
            date=datetime.fromisoformat("2026-11-02T09:30:00+01:00"),
            text=text,
            html=html,
        )
    ).joined()
    assert all(len(line) <= 78 for line in written.split(b"\r\n"))
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", written)
    found = read(written)
    assert found["Subject"] == subject
    assert found["From"].addresses[0].addr_spec == "shop@brand.example"
    # The newer reader puts spaces between encoded words of a name; this one does not.
    shown, spec = parseaddr(message_from_bytes(written)["To"])
    assert (str(make_header(decode_header(shown))), spec) == (" ".join(name.split()), "a@example.org")
    parts = [part.get_content() for part in found.iter_parts()]
    assert [lines(part) for part in parts] == [lines(text), lines(html)]


def test_the_list_headers_stand_on_one_line_each_however_long(mail) -> None:
    url = f"https://mail.brand.example/u/{'x' * 800}"
    written = write(mail(unsubscribe=Url(url))).joined()
    assert b"\r\nList-Unsubscribe: <" + url.encode() + b">\r\n" in written
    assert b"\r\nList-Unsubscribe-Post: " + ONE_CLICK + b"\r\n" in written
    assert max(len(line) for line in written.split(b"\r\n")) <= 998


@pytest.mark.parametrize("text", BREAKS, ids=ascii)
@pytest.mark.parametrize("kind", [Text, Address, Url, Token])
def test_no_header_value_with_a_line_break_or_control_can_be_made(kind, text: str) -> None:
    good = {Text: "Hello", Address: "a@example.org", Url: "https://example.org/a", Token: "ntf_1"}[kind]
    assert kind(good).value == good
    for hostile in (f"{good}{text}", f"{text}{good}", f"{good}{text}Bcc: b@example.org", f"{good[:3]}{text}{good[3:]}"):
        with pytest.raises(FieldRefusedError) as refused:
            kind(hostile)
        assert "Bcc" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "javascript:alert(1)",
        "https://example.org/a>b",
        "https://example.org/ a",
        "https://example.org/\u202e",
        "https://us\u00e9r.example/",
        "https://a@example.org/",
        f"https://example.org/{'a' * 900}",
        "//example.org",
        "",
    ],
)
def test_a_url_that_is_not_plain_https_is_refused(url: str) -> None:
    with pytest.raises(FieldRefusedError):
        Url(url)


BAD = [*"a@ @b a@b@c a@b..c .a@b.c a.@b.c a@-b.c a@b.c> ä@b.c".split(), "a b@c.example", "a" * 65 + "@b.c"]  # noqa: SIM905


@pytest.mark.parametrize("address", BAD)
def test_what_is_no_plain_address_is_refused(address: str) -> None:
    with pytest.raises(FieldRefusedError):
        Address(address)


def test_a_subject_that_looks_encoded_is_not_decoded_into_something_else(mail) -> None:
    hostile = "=?utf-8?q?=0d=0aBcc:_b=40example.org?="
    assert read(write(mail(subject=Text(hostile))).joined())["Subject"] == hostile


def test_a_body_cannot_end_the_part_it_is_in(mail) -> None:
    hostile = "before\n--=_rapport\nContent-Type: text/html\n\n<b>mine</b>\n--=_rapport--\n"
    parts = list(read(write(mail(text=hostile)).joined()).iter_parts())
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
    assert lines(parts[0].get_content()) == lines(hostile)


def test_a_part_with_controls_and_a_date_without_zone_are_refused(mail) -> None:
    for changes in ({"text": "a\0b"}, {"html": "\x1b[2J"}, {"date": datetime(2026, 1, 1)}):  # noqa: DTZ001
        with pytest.raises(FieldRefusedError):
            write(mail(**changes))


def test_a_mail_of_one_part_has_no_frame(mail) -> None:
    found = read(write(mail(html="", unsubscribe=None, list_id=None, reply_to=Address("help@brand.example"))).joined())
    assert found.get_content_type() == "text/plain"
    assert found["Reply-To"] == "help@brand.example"
    assert found["List-Unsubscribe"] is None
