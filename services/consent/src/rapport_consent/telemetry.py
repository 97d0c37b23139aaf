"""What the consent service records beside the RED metrics of every RPC and consumer."""

from rapport_chassis.telemetry.names import Attribute, GaugeName

OCCURRENCE = Attribute("occurrence", "What the replica's follower reports.")

GATE_LAG = GaugeName("rapport.gate.lag", "{position}", "Positions the ledger is known to be ahead of the replica.")
GATE_STALENESS = GaugeName("rapport.gate.staleness", "s", "Time since the replica was last known to be fresh.")

LOG_KEYS = (OCCURRENCE,)
"""Keys of this service's log lines, beside the chassis's."""
