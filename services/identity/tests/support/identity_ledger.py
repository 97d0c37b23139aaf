"""The purposes that identity asks its gate about."""

from __future__ import annotations

from typing import Final

from rapport.consent.v1 import purpose_pb2
from rapport_testing.ledger_service import LedgerService, gate_settings

__all__ = ["PURPOSES", "LedgerService", "gate_settings"]

CONTRACT: Final = purpose_pb2.LEGAL_BASIS_CONTRACT
CONSENT: Final = purpose_pb2.LEGAL_BASIS_CONSENT
PURPOSES: Final = {
    "order.delivery": CONTRACT,
    "customer.service": CONTRACT,
    "analytics.visits": CONSENT,
    "offers.personal": CONSENT,
    "profile.linking": CONSENT,
}
"""The purposes that declarations which come with an installation name, as an operator may define them."""
