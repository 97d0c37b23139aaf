"""Everything the identity service can refuse, with what it means."""

from typing import Final

from rapport_chassis.errors import ErrorTable, Reason

ERRORS: Final = ErrorTable(
    "identity.rapport",
    [
        Reason("PROFILE_NOT_FOUND", "NOT_FOUND", False, "No such id was ever issued, or not by that time."),
        Reason("PROFILE_ERASED", "NOT_FOUND", False, "The person was erased, for ever."),
        Reason("RECORD_NOT_FOUND", "NOT_FOUND", False, "There is no such record."),
        Reason("CONSTRAINT_NOT_FOUND", "NOT_FOUND", False, "There is no such constraint in force."),
        Reason("TOKEN_UNMET", "FAILED_PRECONDITION", False, "The partition does not hold the position asked for."),
        Reason("UNDECLARED", "INVALID_ARGUMENT", False, "A source, type or attribute is not declared, or not as sent."),
        Reason("NAMES_NOBODY", "INVALID_ARGUMENT", False, "No identifier names anybody."),
        Reason("COLLECTING_REFUSED", "FAILED_PRECONDITION", False, "The gate denies what the source collects for."),
        Reason("SUPPRESSED", "FAILED_PRECONDITION", False, "It is from before the erasure of whom it is about."),
        Reason("PROFILE_FROZEN", "FAILED_PRECONDITION", True, "A privacy request holds the person still for now."),
        Reason("TERMS_INVALID", "INVALID_ARGUMENT", False, "The terms of a declaration contradict themselves."),
        Reason("REVIEW_NOT_FOUND", "NOT_FOUND", False, "There is no such review."),
        Reason("REVIEW_DECIDED", "FAILED_PRECONDITION", False, "The review is answered."),
        Reason("MATCHER_NOT_FOUND", "NOT_FOUND", False, "There is no such matcher."),
        Reason("MATCHER_UNTRANSLATABLE", "INVALID_ARGUMENT", False, "A model holds what cannot be weighed here."),
        Reason("NOT_TRAINABLE", "FAILED_PRECONDITION", False, "The records held teach no matcher."),
        Reason("TRAINING_UNAVAILABLE", "FAILED_PRECONDITION", False, "This installation cannot train: see its extras."),
        Reason("PREVIEW_NEEDED", "FAILED_PRECONDITION", False, "A bound on moves needs a preview of the last day."),
        Reason("TOO_MANY_MOVED", "FAILED_PRECONDITION", False, "It would move more records than the caller allows."),
        Reason("SAME_PROFILE", "FAILED_PRECONDITION", False, "The ids stand for one profile already."),
        Reason("SAME_RECORD", "INVALID_ARGUMENT", False, "A record cannot be kept apart from itself."),
        Reason("RECORD_OF_OTHER_PROFILE", "FAILED_PRECONDITION", False, "A record does not belong to the profile."),
        Reason("NOBODY_STAYS", "INVALID_ARGUMENT", False, "A split must leave a record in the profile."),
        Reason("CONSTRAINTS_CONTRADICT", "FAILED_PRECONDITION", False, "An earlier constraint demands the opposite."),
    ],
)
"""The one table of the service."""
