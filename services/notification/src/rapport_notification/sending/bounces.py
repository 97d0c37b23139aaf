"""Reads what comes back: reports of delivery (RFC 3464), complaints (RFC 5965), answers of machines (RFC 3834).

What cannot be read as any of them is no bounce. Nothing of a text is kept but codes and the addresses of ours in it.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from email import message_from_string
from email.errors import MessageError
from email.message import Message
from typing import Final

from flufl.bounce import all_failures

from rapport_notification.domain.suppression import Feedback

SIZE_LIMIT: Final = 1 << 20

_UNREADABLE: Final = (MessageError, LookupError, ValueError, TypeError, AttributeError, RecursionError)
_STATUS: Final = re.compile(r"\b([245]\.[0-9]{1,3}\.[0-9]{1,3})\b")
_REPLY: Final = re.compile(r"\b(?:SMTP|error|said|reply|Diagnostic)[^\n]{0,80}?\b([45][0-9]{2})[ -]", re.IGNORECASE)
_MESSAGE_ID: Final = re.compile(r"^\s*Message-ID:\s*<([^<>\s]{1,250})>", re.IGNORECASE | re.MULTILINE)
_AUTO_SUBJECT: Final = re.compile(
    r"^\s*(auto(matic)?[ -]?(reply|response)|out of (the )?office|abwesen|réponse automatique|respuesta automática)",
    re.IGNORECASE,
)
# A mailbox that is full, a message that is too big, content or a sender that is not liked: the address may be good.
_PASSING: Final = re.compile(r"5\.(2\.[23]|3\.|4\.|5\.|6\.|7\.)")


@dataclass(frozen=True, slots=True)
class Returned:
    """What a message that came back says.

    Attributes:
        feedback: Of what kind; None where it says nothing, as a note of delay does.
        status: Enhanced status code; "" for none.
        envelope_id: What was given as ENVID; "" for none.
        message_id: Of the message it is about, without brackets; "" for none.
        return_path: The address of ours it came to; "" if it does not say.
    """

    feedback: Feedback | None
    status: str = ""
    envelope_id: str = ""
    message_id: str = ""
    return_path: str = ""


def read(data: bytes) -> Returned:
    """Return what a message says; more than `SIZE_LIMIT` of it is not looked at."""
    try:
        # As Latin-1 every byte is a letter, so that no header becomes anything but text.
        return _read(message_from_string(data[:SIZE_LIMIT].decode("latin-1")))
    except _UNREADABLE:
        return Returned(None)


def _read(message: Message) -> Returned:
    ours = _address(str(message.get("Delivered-To") or message.get("X-Original-To") or message.get("To") or ""))
    original = _original_id(message)
    report = str(message.get_param("report-type", "") or "").lower() if message.is_multipart() else ""
    if report == "feedback-report" or _part(message, "message/feedback-report") is not None:
        return Returned(Feedback.COMPLAINT, message_id=original, return_path=ours)
    status_part = _part(message, "message/delivery-status")
    if status_part is not None:
        feedback, status, envelope_id = _delivery_status(status_part)
        return Returned(feedback, status, envelope_id, original, ours)
    if _is_auto_reply(message):
        return Returned(Feedback.AUTO_REPLY, message_id=original, return_path=ours)
    return _by_text(message, original, ours)


def _delivery_status(part: Message) -> tuple[Feedback | None, str, str]:
    """Return the worst that is said of any recipient."""
    payload = part.get_payload()
    blocks = [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else [part]
    envelope_id, worst, code = "", None, ""
    ranks = [None, Feedback.DELIVERED, Feedback.SOFT, Feedback.HARD]
    for block in blocks:
        envelope_id = envelope_id or str(block.get("Original-Envelope-Id") or "").strip()[:200]
        action = str(block.get("Action") or "").strip().lower()
        found = _STATUS.search(str(block.get("Status") or "")) or _STATUS.search(
            str(block.get("Diagnostic-Code") or "")
        )
        status = found[1] if found else ""
        if not action and not status:
            continue
        feedback = _of_action(action, status)
        if ranks.index(feedback) >= ranks.index(worst):
            worst, code = feedback, status
    return worst, code, envelope_id


def _of_action(action: str, status: str) -> Feedback | None:
    if action == "delayed":
        return None
    if action in {"delivered", "relayed", "expanded"} or status.startswith("2"):
        return Feedback.DELIVERED
    return _of_status(status)


def _of_status(status: str) -> Feedback:
    """Return what a code means for the address: hard only if the address itself is what is wrong."""
    if not status.startswith("5") or _PASSING.match(status):
        return Feedback.SOFT
    return Feedback.HARD


def _is_auto_reply(message: Message) -> bool:
    submitted = str(message.get("Auto-Submitted") or "").strip().lower()
    if submitted.startswith("auto-replied"):
        return True
    if message.get("X-Autoreply") or message.get("X-Autorespond"):
        return True
    if str(message.get("Precedence") or "").strip().lower() in {"auto_reply", "auto-reply"}:
        return True
    return bool(_AUTO_SUBJECT.match(str(message.get("Subject") or "")))


def _by_text(message: Message, original: str, ours: str) -> Returned:
    """Read a report that keeps to no standard, by its known forms."""
    # It logs what it stumbles over, with the text.
    logging.getLogger("flufl.bounce").disabled = True
    temporary, permanent = all_failures(message)
    if not temporary and not permanent:
        return Returned(None, message_id=original, return_path=ours)
    text = _text(message)
    found = _STATUS.search(text)
    status = found[1] if found and found[1][0] != "2" else ""
    if not status and (reply := _REPLY.search(text)):
        feedback = Feedback.SOFT if reply[1].startswith("4") or not permanent else Feedback.HARD
    elif status:
        feedback = _of_status(status)
    else:
        feedback = Feedback.HARD if permanent else Feedback.SOFT
    return Returned(feedback, status, "", original, ours)


def _part(message: Message, kind: str) -> Message | None:
    return next((each for each in message.walk() if each.get_content_type() == kind), None)


def _original_id(message: Message) -> str:
    """Return the id of the message that is quoted, which is not this one's own."""
    own = str(message.get("Message-ID") or "").strip().strip("<>")
    for each in message.walk():
        if each is not message and (found := str(each.get("Message-ID") or "").strip().strip("<>")) and found != own:
            return found[:250]
    references = re.findall(r"<([^<>\s]{1,250})>", str(message.get("In-Reply-To") or message.get("References") or ""))
    if references:
        return str(references[-1])
    return next((found for found in _MESSAGE_ID.findall(_text(message)) if found != own), "")


def _text(message: Message) -> str:
    pieces = []
    for each in message.walk():
        if each.get_content_maintype() == "text":
            data = each.get_payload(decode=True)
            pieces.append(data.decode("utf-8", "replace") if isinstance(data, bytes) else "")
    return "\n".join(pieces)


def _address(text: str) -> str:
    found = re.search(r"[^\s<>,;\"]{1,64}@[A-Za-z0-9.-]{1,253}", text)
    return found[0] if found else ""
