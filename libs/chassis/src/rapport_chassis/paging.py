"""Opaque page tokens (AIP-158): where the next page begins, valid only for the list they were issued for."""

from __future__ import annotations

import base64
import binascii
import json
from hashlib import sha256

from google.protobuf.message import Message

from rapport_chassis.errors import CHASSIS_ERRORS

Cursor = tuple[str | int, ...]


def next_page_token(request: Message, cursor: Cursor) -> str:
    """Return the token of the page that begins after `cursor`, for this list and no other."""
    content = json.dumps([_fingerprint(request), *cursor], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def cursor_of(request: Message, page_token: str) -> Cursor | None:
    """Return where the page asked for begins; None for the first page.

    Raises:
        RapportError: PAGE_TOKEN_INVALID: the token is not one of this list; its other arguments must be the same.
    """
    if not page_token:
        return None
    try:
        content = json.loads(base64.urlsafe_b64decode(page_token + "=" * (-len(page_token) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid() from None
    if not isinstance(content, list) or content[:1] != [_fingerprint(request)]:
        raise _invalid()
    if any(not isinstance(part, str | int) for part in content):
        raise _invalid()
    return tuple(content[1:])


def _fingerprint(request: Message) -> str:
    """What the list is of: the request without size and token."""
    listed = type(request)()
    listed.CopyFrom(request)
    listed.ClearField("page_size")
    listed.ClearField("page_token")
    name = request.DESCRIPTOR.full_name.encode()
    return sha256(name + b"\0" + listed.SerializeToString(deterministic=True)).hexdigest()[:16]


def _invalid() -> Exception:
    return CHASSIS_ERRORS.error("PAGE_TOKEN_INVALID", "not a token of this list", field="page_token")
