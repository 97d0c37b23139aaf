"""What the consent service records beside the RED metrics of every RPC and consumer: the state of its own gate."""

from rapport_chassis.telemetry.names import Attribute
from rapport_privacy.telemetry import GATE_LAG, GATE_POSITION, GATE_REPORTS, GATE_STALENESS
from rapport_privacy.telemetry import LOG_KEYS as GATE_KEYS

REQUEST = Attribute("request_id", "A privacy request.")
TASK = Attribute("task_id", "What a participant of a privacy request was asked.")
PARTICIPANT = Attribute("participant", "Who takes part in a privacy request.")
RESULT = Attribute("outcome", "How a privacy request ended, as a code.")
RECORDS = Attribute("records", "How many records a package of somebody's data holds.")
PEAK = Attribute("peak_kib", "Most memory that rendering a package had resident, in KiB.")
LINE = Attribute("line", "Which of the lines of records that a participant handed in.")

LOG_KEYS = (*GATE_KEYS, REQUEST, TASK, PARTICIPANT, RESULT, RECORDS, PEAK, LINE)
"""Keys of log lines, beside the chassis's: ids of requests and tasks name nobody."""

__all__ = ["GATE_LAG", "GATE_POSITION", "GATE_REPORTS", "GATE_STALENESS", "LOG_KEYS"]
