"""Mails whose links say that they were followed, where tracking is allowed at the instant of the send."""

from __future__ import annotations

from collections.abc import Callable

from rapport_chassis.asgi.links import LinkSigner

from rapport_notification.adapters.keys import load_keys
from rapport_notification.app.carriers import Parcel
from rapport_notification.assembly import Parts
from rapport_notification.sending.tracking import Tracking


def tracker(parts: Parts) -> Callable[[Parcel], str] | None:
    """Return what gives the other part of a mail its links; None where nothing is tracked."""
    wanted, links = parts.settings.tracking, parts.settings.links
    if wanted is None or links is None:
        return None
    tracking = Tracking(LinkSigner(load_keys(parts.settings.keys_folder, "links"), clock=parts.clock), links.origin)

    def tracked(parcel: Parcel) -> str:
        html = parcel.texts.html
        allowed = parcel.recipient_id.startswith("prf_") and parts.permits.check(
            parcel.recipient_id, wanted.purpose_id, brand_id=parcel.brand_id
        )
        return tracking.links(parcel.notification_id, html, parcel.sent_at) if html and allowed else html

    return tracked
