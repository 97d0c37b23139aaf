"""What a gate records beside the RED metrics of its calls. A process that holds a gate lets its logs keep LOG_KEYS."""

from typing import Final

from rapport_chassis.telemetry.names import Attribute, CounterName, GaugeName

OCCURRENCE = Attribute("occurrence", "What the replica's follower reports.")

GATE_LAG = GaugeName("rapport.gate.lag", "{position}", "Positions the ledger is known to be ahead of the replica.")
GATE_POSITION = GaugeName("rapport.gate.position", "{position}", "The replica knows every position up to here.")
GATE_STALENESS = GaugeName(
    "rapport.gate.staleness", "s", "Time since the replica was last known to be fresh; 1e9 if never."
)
NEVER_FRESH_S: Final = 1e9
"""The staleness told of a replica that was never fresh: metrics hold numbers only."""
GATE_REPORTS = CounterName(
    "rapport.gate.reports", "{report}", "What the replica's follower has reported.", attributes=(OCCURRENCE,)
)

LOG_KEYS = (OCCURRENCE,)
"""Keys of the gate's log lines, beside the chassis's."""
