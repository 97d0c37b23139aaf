"""Messages that came back, as the large servers write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapport_notification.domain.suppression import Feedback
from rapport_notification.sending.bounces import Returned, read

OURS = "b+token@bounces.brand.example"


def dsn(fields: str, text: str = "Your message could not be delivered.") -> bytes:
    return f"""From: MAILER-DAEMON@mx.example.org
To: {OURS}
Message-ID: <own@mx.example.org>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

{text}

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org
Original-Envelope-Id: ntf_1+x
Arrival-Date: Mon, 2 Nov 2026 09:00:00 +0000

{fields}

--b
Content-Type: text/rfc822-headers

Message-ID: <ntf_1.1@mail.brand.example>
Subject: hello

--b--
""".encode()


@pytest.mark.parametrize(
    ("fields", "feedback", "status"),
    [
        ("Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user", Feedback.HARD, "5.1.1"),
        ("Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 unknown", Feedback.HARD, "5.0.0"),
        ("Action: failed\nStatus: 5.2.1", Feedback.HARD, "5.2.1"),
        ("Action: failed\nStatus: 5.2.2", Feedback.SOFT, "5.2.2"),
        ("Action: failed\nStatus: 5.7.1", Feedback.SOFT, "5.7.1"),
        ("Action: failed\nStatus: 5.4.4", Feedback.SOFT, "5.4.4"),
        ("Action: failed\nStatus: 4.4.7", Feedback.SOFT, "4.4.7"),
        ("Action: failed\nDiagnostic-Code: smtp; 550 5.1.10 recipient not found", Feedback.HARD, "5.1.10"),
        ("Action: delayed\nStatus: 4.4.1", None, "4.4.1"),
        ("Action: delivered\nStatus: 2.0.0", Feedback.DELIVERED, "2.0.0"),
        ("Action: relayed\nStatus: 2.0.0", Feedback.DELIVERED, "2.0.0"),
        ("Action: delivered\nStatus: 2.0.0\n\nAction: failed\nStatus: 5.1.1", Feedback.HARD, "5.1.1"),
    ],
)
def test_reports_say_what_happened_to_whom(fields: str, feedback: Feedback | None, status: str) -> None:
    found = read(dsn(fields))
    assert (found.feedback, found.status) == (feedback, status)
    assert (found.envelope_id, found.message_id, found.return_path) == ("ntf_1+x", "ntf_1.1@mail.brand.example", OURS)


COMPLAINT = b"""From: <abusedesk@example.com>
To: <abuse@brand.example>
Subject: FW: Earn money
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part1_13d.2e68ed54_boundary"

--part1_13d.2e68ed54_boundary
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report.

--part1_13d.2e68ed54_boundary
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1

--part1_13d.2e68ed54_boundary
Content-Type: message/rfc822

From: <shop@mail.brand.example>
Message-ID: <ntf_7.1@mail.brand.example>
Subject: Earn money

Spam Spam Spam
--part1_13d.2e68ed54_boundary--
"""


def test_a_complaint_is_told_by_its_report_and_names_the_message() -> None:
    assert read(COMPLAINT) == Returned(Feedback.COMPLAINT, "", "", "ntf_7.1@mail.brand.example", "abuse@brand.example")


@pytest.mark.parametrize(
    "head",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-replied (vacation)",
        "X-Autoreply: yes",
        "Precedence: auto_reply",
        "Subject: Out of Office: holidays",
        "Subject: Automatic reply: hello",
        "Subject: Abwesenheitsnotiz",
    ],
)
def test_answers_of_machines_are_no_bounces(head: str) -> None:
    text = (
        f"From: a@example.org\nTo: {OURS}\nIn-Reply-To: <ntf_1.1@mail.brand.example>\n{head}\n\nI am away: 550 5.1.1\n"
    )
    found = read(text.encode())
    assert (found.feedback, found.message_id) == (Feedback.AUTO_REPLY, "ntf_1.1@mail.brand.example")


@pytest.mark.parametrize(
    "text",
    [
        "From: a@example.org\nSubject: question\n\nWhere is my order? The site says 550 5.1.1.\n",
        "",
        "nonsense",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n",
        "Content-Type: message/delivery-status\n\nAction: failed\n",
    ],
)
def test_what_is_no_report_says_nothing_of_an_address(text: str) -> None:
    assert read(text.encode()).feedback in {None, Feedback.SOFT}
    assert read(text.encode()).status == ""


QMAIL = b"""From: MAILER-DAEMON@example.net
To: b+token@bounces.brand.example
Subject: failure notice

Hi. This is the qmail-send program at example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<somebody@example.net>:
%s

--- Below this line is a copy of the message.

Message-ID: <ntf_9.1@mail.brand.example>
Subject: hello

body
"""


@pytest.mark.parametrize(
    ("line", "feedback"),
    [
        (b"Sorry, no mailbox here by that name. (#5.1.1)", Feedback.HARD),
        (b"Mailbox is over quota (#5.2.2)", Feedback.SOFT),
        (b"Remote host said: 552 mailbox full", Feedback.HARD),
    ],
)
def test_a_report_of_no_standard_is_read_by_its_form(line: bytes, feedback: Feedback) -> None:
    found = read(QMAIL % line)
    assert (found.feedback, found.message_id) == (feedback, "ntf_9.1@mail.brand.example")


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.integers(0, 900), st.integers(0, 900))
def test_no_bytes_make_it_fail(noise: bytes, place: int, until: int) -> None:
    whole = dsn("Action: failed\nStatus: 5.1.1")
    read(noise)
    read(whole[:place] + noise + whole[until:])
    read(COMPLAINT[:place] + noise + COMPLAINT[until:])
