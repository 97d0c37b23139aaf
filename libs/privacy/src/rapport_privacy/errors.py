"""Refusals of the gate: what a caller asked wrongly. They are never an answer about a person."""

from typing import Final

from rapport_chassis.errors import ErrorTable, Reason

GATE_ERRORS: Final = ErrorTable(
    "gate.rapport",
    [
        Reason(
            "BRAND_REQUIRED",
            "INVALID_ARGUMENT",
            False,
            "Each brand asks for itself for this purpose: the check must name the brand.",
        ),
    ],
)
"""What a check can raise. A service that answers checks passes it on as it is."""
