"""Use case: price a quote again from what the ledgers hold of its time."""

from __future__ import annotations

from rapport_chassis.errors import RapportError

from rapport_pricing.app.documents import Document
from rapport_pricing.app.pricing import AskedLine, Brought, Naming, price
from rapport_pricing.app.shelf import Shelf
from rapport_pricing.domain.explaining import check_replay


def replays(shelf: Shelf, document: Document, brought: Brought, stored: bytes) -> bool:
    """Return whether pricing again gives the bytes that were signed.

    Args:
        shelf: The catalogue as of the position that was known then.
        document: What the bytes say.
        brought: What the quote was made from besides the catalogue.
        stored: The bytes.
    """
    asked = [AskedLine(line.line.product_id, line.line.variant_id, line.line.quantity) for line in document.lines]
    naming = Naming(document.quote_id, document.decision_id, document.channel, document.issued_us)
    try:
        check_replay(stored, price(shelf, document.market, asked, brought, naming).quote)
    except RapportError:
        return False
    return True
