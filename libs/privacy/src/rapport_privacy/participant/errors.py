"""Refusals of a participant."""

from typing import Final

from rapport_chassis.errors import ErrorTable, Reason

PARTICIPANT_ERRORS: Final = ErrorTable(
    "participant.rapport",
    [
        Reason("TASK_UNKNOWN", "NOT_FOUND", False, "The participant has no such task, or it asks for no copy."),
        Reason("TASK_DIFFERS", "INVALID_ARGUMENT", False, "The task is about other ids than those named."),
        Reason("TASK_OPEN", "FAILED_PRECONDITION", True, "The participant has not answered the task yet."),
    ],
)
"""What ParticipantService can raise."""
