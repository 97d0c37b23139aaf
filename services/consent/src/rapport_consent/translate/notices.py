"""Notices, as they are published and kept."""

from __future__ import annotations

from rapport.consent.v1 import purpose_pb2
from rapport_chassis.times import moment, stamp

from rapport_consent.domain.notices import Notice


def notice_of(message: purpose_pb2.Notice) -> Notice:
    """Return the notice that a message holds."""
    return Notice(
        notice_id=message.notice_id,
        version=message.version,
        locale=message.locale,
        text=message.text,
        sha256=message.sha256,
        purpose_ids=frozenset(message.purpose_ids),
        brand_id=message.brand_id,
        published_at=moment(message.published_at),
        published_by=message.published_by,
    )


def notice_message(notice: Notice) -> purpose_pb2.Notice:
    """Return a notice as a message."""
    return purpose_pb2.Notice(
        notice_id=notice.notice_id,
        version=notice.version,
        locale=notice.locale,
        text=notice.text,
        sha256=notice.sha256,
        purpose_ids=sorted(notice.purpose_ids),
        brand_id=notice.brand_id,
        published_at=stamp(notice.published_at),
        published_by=notice.published_by,
    )
