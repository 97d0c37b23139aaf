"""Everything the churn service can refuse, with what it means."""

from typing import Final

from rapport_chassis.errors import ErrorTable, Reason

ERRORS: Final = ErrorTable(
    "churn.rapport",
    [
        Reason("PROFILE_ERASED", "NOT_FOUND", False, "The person was erased, for ever."),
        Reason("NOTHING_KNOWN", "NOT_FOUND", False, "No event of such a profile is held."),
        Reason("PROFILING_DENIED", "FAILED_PRECONDITION", False, "The gate denies the purpose of profiling."),
        Reason("PERMISSION_UNKNOWN", "UNAVAILABLE", True, "The gate does not know freshly enough to permit it."),
        Reason("NO_MODEL", "FAILED_PRECONDITION", False, "No model serves yet: train one, and promote it."),
        Reason("OUT_OF_POPULATION", "FAILED_PRECONDITION", False, "The model does not speak of such customers."),
        Reason("DECISION_NOT_FOUND", "NOT_FOUND", False, "There is no such score, or it is too old to be explained."),
        Reason("REVIEW_NOT_FOUND", "NOT_FOUND", False, "There is no such review."),
        Reason("REVIEW_DECIDED", "FAILED_PRECONDITION", False, "The review is answered."),
        Reason("MODEL_NOT_FOUND", "NOT_FOUND", False, "There is no such model, or none had the role then."),
        Reason(
            "MODEL_UNUSABLE", "FAILED_PRECONDITION", False, "The artefact is missing, spoiled, or of other features."
        ),
        Reason("GATES_NOT_PASSED", "FAILED_PRECONDITION", False, "The model failed a gate: the metadata names it."),
        Reason("HAS_ROLE", "FAILED_PRECONDITION", False, "The model has this role already."),
        Reason("WITHDRAWN_SINCE", "FAILED_PRECONDITION", False, "Somebody it was trained on withdrew: train anew."),
        Reason("LEARNED_FROM_ERASED", "FAILED_PRECONDITION", False, "It knew somebody erased: it serves never again."),
        Reason("NOTHING_REMOVED", "NOT_FOUND", False, "Nothing was taken away of such a profile."),
        Reason("LEARNED_FROM", "FAILED_PRECONDITION", True, "The model that serves knew the person; another is made."),
        Reason("NOT_TRAINABLE", "FAILED_PRECONDITION", False, "The events held teach no model yet."),
        Reason("TRAINING_UNAVAILABLE", "FAILED_PRECONDITION", False, "This installation cannot train: see its extras."),
    ],
)
"""The one table of the service."""
