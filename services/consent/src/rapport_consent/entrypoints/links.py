"""Links by which people fetch their receipt without a login."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.asgi.links import LinkSigner
from rapport_chassis.clock import Clock

RECEIPT: Final = "receipt"
"""What a link allows: to fetch one receipt."""


@dataclass(frozen=True)
class ReceiptLinks:
    """Makes and opens links to receipts."""

    signer: LinkSigner
    clock: Clock
    valid_for: timedelta

    def link_to(self, receipt_id: str) -> tuple[str, datetime]:
        """Return the path of a receipt for whoever holds it, and when it ends."""
        expires_at = (self.clock.now() + self.valid_for).replace(microsecond=0)
        return f"/receipts/{self.signer.sign(RECEIPT, receipt_id, expires_at)}", expires_at
