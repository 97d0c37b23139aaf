"""What the pricing service records beside the RED metrics of every RPC and consumer."""

from typing import Final

from rapport_chassis.telemetry.names import CounterName, GaugeName

POSITION: Final = GaugeName("rapport.pricing.catalogue.position", "{position}", "The catalogue is known up to here.")
LISTINGS: Final = GaugeName("rapport.pricing.listings", "{listing}", "Listings that this process knows.")
JOURNAL: Final = GaugeName("rapport.pricing.journal.waiting", "{decision}", "Decisions that are not written yet.")
TURNS: Final = CounterName("rapport.pricing.learning.looks", "{look}", "Looks at what a listing sold.")
STUCK: Final = CounterName("rapport.pricing.learning.stuck", "{look}", "Looks at which nothing could be decided.")
