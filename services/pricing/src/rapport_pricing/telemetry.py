"""What the pricing service records beside the RED metrics of every RPC and consumer."""

from typing import Final

from rapport_chassis.telemetry.names import GaugeName

POSITION: Final = GaugeName("rapport.pricing.catalogue.position", "{position}", "The catalogue is known up to here.")
LISTINGS: Final = GaugeName("rapport.pricing.listings", "{listing}", "Listings that this process knows.")
JOURNAL: Final = GaugeName("rapport.pricing.journal.waiting", "{decision}", "Decisions that are not written yet.")
