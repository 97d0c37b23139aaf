"""What the consent service records beside the RED metrics of every RPC and consumer: the state of its own gate."""

from rapport_privacy.telemetry import GATE_LAG, GATE_POSITION, GATE_REPORTS, GATE_STALENESS, LOG_KEYS

__all__ = ["GATE_LAG", "GATE_POSITION", "GATE_REPORTS", "GATE_STALENESS", "LOG_KEYS"]
