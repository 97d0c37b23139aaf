"""What the identity service records beside the RED metrics of every RPC and consumer."""

from typing import Final

from rapport_chassis.telemetry.names import Attribute, CounterName, GaugeName

RECORDS: Final = GaugeName("rapport.identity.records", "{record}", "Records in the hot index of this process.")
PROFILES: Final = GaugeName("rapport.identity.profiles", "{profile}", "Profiles that this process knows.")
POSITION: Final = GaugeName("rapport.identity.position", "{position}", "The partition is known up to here.")
OUTCOME: Final = Attribute(
    "rapport.identity.outcome", "What became of it: recorded, recorded_in_part, refused, known, faulty, waiting."
)
TOUCHPOINTS: Final = CounterName(
    "rapport.identity.touchpoints", "{touchpoint}", "Touchpoints that came, those refused among them.", (OUTCOME,)
)
ANNIVERSARIES: Final = CounterName(
    "rapport.identity.anniversaries", "{anniversary}", "Birthdays and customers' anniversaries told to others."
)
